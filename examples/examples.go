// Package examples holds the cluster files that `imgforge init` starts from.
package examples

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.yaml
var files embed.FS

// Names lists the examples, the one to start from by default first.
func Names() []string { return []string{"scaleway-ha", "exoscale", "bare-metal", "single"} }

// Read is an example's cluster file. The error of an unknown name lists the
// known ones.
func Read(name string) ([]byte, error) {
	for _, known := range Names() {
		if name == known {
			return files.ReadFile(name + ".yaml")
		}
	}
	return nil, fmt.Errorf("there is no example %q: choose one of %s", name, strings.Join(Names(), ", "))
}
