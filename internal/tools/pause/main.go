// Command pause holds the namespaces of a pod: it reaps what is left to it and
// ends when it is told to.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		select {
		case <-end:
			return
		case <-child:
			for reaped := true; reaped; {
				pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
				reaped = err == nil && pid > 0
			}
		}
	}
}
