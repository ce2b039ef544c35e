package bake

import (
	"context"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

func TestTools(t *testing.T) {
	for _, tool := range Tools() {
		testtool.Path(t, "mke2fs") // of the same package
		if v, err := tool.Version(context.Background()); err != nil || !strings.HasPrefix(v, tool.Name+" 1.") || tool.Package == "" || tool.For == "" {
			t.Errorf("%+v: %q, %v", tool, v, err)
		}
	}
	if _, err := (Tool{Name: "nothing-of-this-name"}).Version(context.Background()); err == nil || !strings.Contains(err.Error(), "install e2fsprogs") {
		t.Errorf("missing: %v", err)
	}
}
