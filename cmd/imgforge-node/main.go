// Command imgforge-node is the helper that every node of a cluster carries.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/imgforge/imgforge/internal/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := node.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
