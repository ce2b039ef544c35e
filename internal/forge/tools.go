package forge

import (
	"context"

	"github.com/imgforge/imgforge/images/bake"
	"github.com/imgforge/imgforge/images/debianbase"
)

// Tool is a program outside of imgforge that some work needs.
type Tool struct {
	Name    string `json:"name"`
	For     string `json:"for"`
	Version string `json:"version,omitempty"` // as it says itself; "" when it is missing
	Install string `json:"install,omitempty"` // the Debian package, when it is missing
	// Optional tells that one command alone needs it, which few people run.
	Optional bool `json:"optional,omitempty"`
}

// program is one that can be asked for its version.
type program interface {
	Version(ctx context.Context) (string, error)
}

// Tools looks for every program that baking, and making a base, runs.
func (a *App) Tools(ctx context.Context) []Tool {
	var all []Tool
	look := func(p program, t Tool, from string) {
		version, err := p.Version(ctx)
		if err != nil {
			t.Install = from
		}
		t.Version = version
		all = append(all, t)
	}
	for _, t := range bake.Tools() {
		look(t, Tool{Name: t.Name, For: t.For}, t.Package)
	}
	for _, t := range debianbase.Tools() {
		look(t, Tool{Name: t.Name, For: "the base of os.family imgforge", Optional: true}, t.Package)
	}
	return all
}
