// Package room keeps a little room on the disk of the kubelet, for the kubelet alone.
// To end a pod it first writes down what it takes from it (dra_manager_state in its own
// folder, since Kubernetes 1.34), and where no byte can be written it keeps the pod for
// ever, also the one that fills the disk and that it means to evict.
package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Path is the file that keeps the room. It lies in the kubelet's own folder, since that
// may be a disk of its own.
const Path = "/var/lib/kubelet/imgforge-room"

// Sizes in bytes. What the kubelet writes down is a few KiB; room is given back in parts,
// since a pod that goes on writing takes some of it.
const (
	size = 16 << 20
	part = 4 << 20
	low  = 1 << 20
)

// keepPercent is the share of a disk that stays free beside the room: more than the 10 %
// below which the kubelet evicts (evictionHard of its defaults, nodefs.available), so
// that keeping room never makes it do that.
const keepPercent = 15

// Options say where. Only Root and Stderr are needed on a node.
type Options struct {
	Root   string        // "/"
	Stderr io.Writer     // takes a line when room is given back
	Pace   time.Duration // between two looks; the kubelet looks every 10 s itself
}

// Run keeps the room until ctx ends.
func Run(ctx context.Context, o Options) error {
	path := filepath.Join(cmp.Or(o.Root, "/"), Path)
	for {
		err := look(path, o.Stderr)
		if errors.Is(err, errors.ErrUnsupported) {
			fmt.Fprintf(o.Stderr, "imgforge: the file system of %s keeps no room aside for the kubelet: %v\n", filepath.Dir(path), err)
			<-ctx.Done()
			return nil
		}
		if err != nil {
			return fmt.Errorf("keep room for the kubelet: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(cmp.Or(o.Pace, 5*time.Second)):
		}
	}
}

// look makes the room what it should be now.
func look(path string, stderr io.Writer) error {
	d, err := diskOf(filepath.Dir(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // no kubelet has begun here
	}
	if err != nil {
		return err
	}
	have, err := length(path)
	if err != nil {
		return err
	}
	want := wanted(have, d)
	switch {
	case want > have:
		return allocate(path, want)
	case want == have:
		return nil
	}
	fmt.Fprintf(stderr, "imgforge: the disk of %s is full: %d MiB that were kept aside are given back, so that the kubelet can take pods off\n", filepath.Dir(path), (have-want)>>20)
	if want == 0 {
		return os.Remove(path)
	}
	return os.Truncate(path, int64(want))
}

// length is the size of the room that is kept, 0 without a file.
func length(path string) (uint64, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is no file: remove it", path)
	}
	return uint64(info.Size()), nil
}

// disk is a file system, in bytes. Of what root alone may take, free has some and spare
// has none.
type disk struct{ size, free, spare uint64 }

// wanted is how much room there should be, where there is so much now.
func wanted(have uint64, d disk) uint64 {
	switch {
	case d.free < low:
		return have - min(have, part)
	case have < size && d.spare >= d.size/100*keepPercent+size-have:
		return size
	}
	return have
}
