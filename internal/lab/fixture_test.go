//go:build lab

package lab

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/toolchain"
)

// newTrial makes a lab with the built cluster of a topology in it, and no node yet.
func newTrial(t *testing.T, name string) *Trial {
	t.Helper()
	testtool.Root(t)
	topology, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	trial := &Trial{Lab: newLab(t), Topology: topology, result: &Outcome{}}
	if err := trial.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	return trial
}

// newLab makes a lab that ends with the test.
func newLab(t *testing.T) *Lab {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	helper := sync.OnceValues(func() (string, error) { return toolchain.Helper(t.Context(), root, t.TempDir()) })
	l, err := New(t.Context(), Config{Cache: filepath.Join(cache, "imgforge", "lab"), Artifacts: t.ArtifactDir(), Log: t.Output(),
		Tool: func(program string) (string, error) {
			if program == nodeHelper {
				return helper()
			}
			return testtool.Path(t, program), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Errorf("leave nothing behind: %v", err)
		}
	})
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
