package program

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a program that does what the lines of shell say.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imgforge")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// What is printed may be secret: it comes back, and neither messages nor errors have it.
func TestOutputAndMessagesStayApart(t *testing.T) {
	var said []string
	say := func(line string) { said = append(said, line) }
	good := script(t, "echo SECRET $*; echo first >&2; printf second >&2\n")
	out, err := Imgforge{Path: good, File: "a.yaml", Store: "keys"}.Run(t.Context(), say, "render", "--role", "worker")
	if err != nil || string(out) != "SECRET render --role worker -f a.yaml --store keys\n" || !slices.Equal(said, []string{"first", "second"}) {
		t.Errorf("%q %q %v", out, said, err)
	}
	bad := script(t, "echo SECRET; echo no such role >&2; exit 2\n")
	out, err = Imgforge{Path: bad}.Run(t.Context(), say, "render")
	if err == nil || out != nil || strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "no such role") {
		t.Errorf("%q %v", out, err)
	}
	if strings.Contains(strings.Join(said, "\n"), "SECRET") {
		t.Errorf("said: %q", said)
	}
}

func TestMissingProgramIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Imgforge{}.Run(t.Context(), Log, "render")
	if err == nil || !strings.Contains(err.Error(), "imgforge_path") {
		t.Error(err)
	}
}

// imgforge is interrupted, not killed: it cleans up and says what is left.
func TestCancellingLetsItCleanUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	waits := script(t, "trap 'echo cleaned >&2; exit 1' INT\necho ready >&2\nwhile :; do sleep 0.1; done\n")
	_, err := Imgforge{Path: waits}.Run(ctx, func(line string) {
		if line == "ready" {
			cancel()
		}
	}, "build")
	if err == nil || !strings.Contains(err.Error(), "cleaned") {
		t.Error(err)
	}
}
