// Command imgforge turns one cluster file into everything an HA Kubernetes
// cluster boots from.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/imgforge/imgforge/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, os.Getenv)
	stop()
	os.Exit(code)
}
