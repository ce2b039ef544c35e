package plan

import (
	"testing"

	"github.com/imgforge/imgforge/examples"
)

// The JSON of a plan is an interface: scripts read it, and it holds no secret, so
// that it may be shown to anybody.
func TestPlanOfEveryExample(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			text, err := examples.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			p, r := New(parse(t, string(text)), Facts{})
			for _, problem := range r.Problems {
				t.Error(problem)
			}
			golden(t, "plan-"+name+".json", []byte(indented(t, p)))
		})
	}
}
