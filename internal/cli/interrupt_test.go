package cli

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
)

// An interruption is one line, and leaves nothing behind.
func TestInterruptionIsOneLine(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	code := Run(ctx, []string{"build", "--example", "single"}, Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, func(string) string { return "" })
	lines := strings.Split(strings.TrimSuffix(errs.String(), "\n"), "\n")
	last := lines[len(lines)-1]
	if code != exitFailed || out.Len() > 0 || !strings.HasPrefix(last, "imgforge: interrupted") || strings.Contains(errs.String(), "canceled") {
		t.Errorf("exit %d\n%s%s", code, &out, &errs)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
