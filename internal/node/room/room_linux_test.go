package room

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool"
)

// smallDisk is a file system of 128 MiB below a node's folder of the kubelet.
func smallDisk(t *testing.T) (root string) {
	testtool.Root(t)
	root = t.TempDir()
	folder := filepath.Join(root, filepath.Dir(Path))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=128m"); err != nil {
		testtool.Skip(t, "a tmpfs is needed: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(folder, 0) })
	return root
}

// Where a pod has filled the disk the kubelet can write again, also when the pod takes
// what was given back; with room everything is kept anew.
func TestAFullDiskTakesWhatTheKubeletWrites(t *testing.T) {
	root := smallDisk(t)
	folder := filepath.Join(root, filepath.Dir(Path))
	path, hog := filepath.Join(root, Path), filepath.Join(folder, "volume")
	var said strings.Builder
	turn := func(want uint64) {
		t.Helper()
		if err := look(path, &said); err != nil {
			t.Fatal(err)
		}
		if got, err := length(path); err != nil || got != want {
			t.Fatalf("%d bytes are kept, want %d; %v", got, want, err)
		}
	}
	turn(size)
	for kept := uint64(size); kept > 0; kept -= part {
		fill(t, hog)
		state := filepath.Join(folder, fmt.Sprint("state", kept))
		if err := os.WriteFile(state, make([]byte, 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("the disk is not full: %v", err)
		}
		turn(kept - part)
		if err := os.WriteFile(state, make([]byte, 64<<10), 0o600); err != nil {
			t.Fatalf("though room was given back: %v", err)
		}
	}
	if n := strings.Count(said.String(), "4 MiB that were kept aside are given back"); n != size/part {
		t.Errorf("said %d times: %s", n, &said)
	}
	if err := os.Remove(hog); err != nil {
		t.Fatal(err)
	}
	turn(size)
}

// What cannot be had whole is not begun, and what was kept before stays.
func TestSomebodyWasQuicker(t *testing.T) {
	path := filepath.Join(smallDisk(t), Path)
	if err := allocate(path, part); err != nil {
		t.Fatal(err)
	}
	if err := allocate(path, 256<<20); err != nil {
		t.Fatal(err)
	}
	if got, err := length(path); got != part || err != nil {
		t.Errorf("%d bytes are kept, want %d; %v", got, part, err)
	}
}

// fill appends to a file until nothing more can be written.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	for {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return
		}
	}
}

// It goes on until it is ended, begins once there is a kubelet, and follows no link.
func TestRun(t *testing.T) {
	root := smallDisk(t)
	path := filepath.Join(root, Path)
	if err := Run(ended(t), Options{Root: t.TempDir(), Stderr: &strings.Builder{}}); err != nil {
		t.Errorf("without a kubelet: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		defer cancel() // so that who waits for it does not wait for ever
		if err := Run(ctx, Options{Root: root, Stderr: &strings.Builder{}, Pace: time.Millisecond}); err != nil {
			t.Error(err)
		}
	})
	for n, err := length(path); n != size; n, err = length(path) {
		if err != nil || ctx.Err() != nil {
			t.Fatalf("it ended with %d bytes kept: %v", n, err)
		}
		time.Sleep(time.Millisecond)
	}
	cancel()
	run.Wait()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), Options{Root: root, Stderr: &strings.Builder{}}); err == nil || !strings.Contains(err.Error(), "is no file") {
		t.Errorf("a link: %v", err)
	}
}

func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
