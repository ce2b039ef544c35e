package watch

import (
	"os"
	"path/filepath"
	"testing"
)

// Folders on one file system are one disk, named by the first of them, and what is
// not there is none.
func TestDisksOfANode(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "var/lib/etcd"), 0o755); err != nil {
		t.Fatal(err)
	}
	got := disks(root, master)
	if len(got) != 1 || got[0].Path != "/" || got[0].Size == 0 || got[0].Free > got[0].Size {
		t.Errorf("%+v", got)
	}
	if got := disks(filepath.Join(root, "nothing"), master); got != nil {
		t.Errorf("a folder that is not there is a disk: %+v", got)
	}
}
