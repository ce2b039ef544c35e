package forge

import (
	"context"

	"github.com/imgforge/imgforge/images/bake"
)

// Tool is a program outside of imgforge that some work needs.
type Tool struct {
	Name    string `json:"name"`
	For     string `json:"for"`
	Version string `json:"version,omitempty"` // as it says itself; "" when it is missing
	Install string `json:"install,omitempty"` // the Debian package, when it is missing
}

// Tools looks for every program that baking runs.
func (a *App) Tools(ctx context.Context) []Tool {
	var all []Tool
	for _, t := range bake.Tools() {
		tool := Tool{Name: t.Name, For: t.For}
		version, err := t.Version(ctx)
		if err != nil {
			tool.Install = t.Package
		}
		tool.Version = version
		all = append(all, tool)
	}
	return all
}
