package forge

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/imgforge/imgforge/examples"
)

// Sizes that are told before there is a store come near those that a build
// writes: within an eighth, on every example.
func TestEstimatesComeNear(t *testing.T) {
	for _, name := range examples.Names() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			src := Source{File: filepath.Join(dir, "cluster.yaml")}
			data, err := examples.Read(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(src.File, data, 0o644); err != nil {
				t.Fatal(err)
			}
			app := &App{Now: time.Now, Rand: rand.Reader, Log: io.Discard, Getenv: func(name string) string {
				return map[string]string{"HOME": filepath.Join(dir, "home")}[name]
			}}
			guess, err := app.Plan(src)
			if err != nil || guess.Estimated == "" {
				t.Fatalf("no estimate: %v", err)
			}
			if _, err := app.PKIInit(t.Context(), src); err != nil {
				t.Fatal(err)
			}
			real, err := app.Plan(src)
			if err != nil || real.Estimated != "" {
				t.Fatalf("not measured: %v %s", err, real.Estimated)
			}
			for i, want := range real.Sizes {
				if got := guess.Sizes[i]; got.Target != want.Target || 8*abs(got.Bytes-want.Bytes) > want.Bytes {
					t.Errorf("%s: estimated %d bytes, they are %d", want.Target, got.Bytes, want.Bytes)
				}
			}
		})
	}
}

func abs(n int) int { return max(n, -n) }
