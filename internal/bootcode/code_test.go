package bootcode

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every code has one golden text, written by the test of the package that makes
// it happen; it says which step, why, and what to change.
func TestEveryCodeHasItsText(t *testing.T) {
	wanted, last := map[string]bool{}, 0
	for _, c := range All() {
		if c.Number <= last {
			t.Errorf("code %d stands behind %d", c.Number, last)
		}
		last = c.Number
		if c.Name == "" || c.Step == "" || c.What == "" || c.Change == "" {
			t.Errorf("code %d lacks a part: %+v", c.Number, c)
		}
		name := fmt.Sprintf("%d-%s.txt", c.Number, c.Name)
		wanted[name] = true
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Errorf("code %d has no golden text: make it happen in a test of the package that reports it: %v", c.Number, err)
			continue
		}
		for _, part := range []string{fmt.Sprintf(" %d %s in step %s: %s\n", c.Number, c.Name, c.Step, c.What), "\n  why:    ", "\n  change: " + c.Change} {
			if !strings.Contains(string(text), part) {
				t.Errorf("%s lacks %q:\n%s", name, part, text)
			}
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !wanted[f.Name()] {
			t.Errorf("testdata/%s belongs to no code", f.Name())
		}
	}
}

func TestOfUnknownCode(t *testing.T) {
	if c, known := Of(999); known || c.Name != "unknown" || !strings.Contains(Fail(999, "why").Error(), "999 unknown in step unknown") {
		t.Errorf("%+v", c)
	}
}
