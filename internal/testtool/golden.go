package testtool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Golden compares text with the golden file at path, or writes it there on update.
func Golden(t testing.TB, path string, got []byte, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", path, got, want)
	}
}

// BootCode compares what a node says of a code, ended by one line break, with the
// golden text of that code, from which the reference of codes is made too.
func BootCode(t testing.TB, c bootcode.Code, got string, update bool) {
	t.Helper()
	root, err := ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("%d-%s.txt", c.Number, c.Name)
	Golden(t, filepath.Join(root, "internal", "bootcode", "testdata", name), []byte(got), update)
}
