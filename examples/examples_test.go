package examples

import (
	"strings"
	"testing"
)

func TestNamesAreTheFiles(t *testing.T) {
	entries, err := files.ReadDir(".")
	if err != nil || len(entries) != len(Names()) {
		t.Fatalf("%d files for %d names: %v", len(entries), len(Names()), err)
	}
	for _, name := range Names() {
		data, err := Read(name)
		if err != nil || !strings.HasPrefix(string(data), "# ") {
			t.Errorf("%s does not begin with a comment: %v", name, err)
		}
	}
	if _, err := Read("../examples"); err == nil || !strings.Contains(err.Error(), "scaleway-ha, exoscale") {
		t.Errorf("an unknown name gives %v", err)
	}
}
