package gate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/imgforge/imgforge/images/ext4"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
)

// Options say what is looked for.
type Options struct {
	// Secrets are the cluster's, none of which may be on the disk; nil looks for none.
	Secrets *artifact.Finder
	// Own are the labels of partitions that baking added.
	Own []string
}

// Result is what was seen.
type Result struct {
	SHA256 string // of the disk, holes included, in hex
	Size   int64  // bytes
	// Findings are reasons not to use the disk, one line each with its place.
	Findings []string
	// Unread are partitions whose files could not be looked at, each with the reason.
	Unread []string
}

// Scan reads a disk once from its beginning to its end, and the files of what is ext4.
func Scan(ctx context.Context, disk sparse.Content, o Options) (Result, error) {
	r := Result{Size: disk.Size()}
	table, err := gpt.Read(disk, disk.Size())
	if err != nil {
		return r, fmt.Errorf("look the disk over: %w", err)
	}
	stream, err := o.hash(ctx, disk, &r)
	if err != nil {
		return r, fmt.Errorf("look the disk over: %w", err)
	}
	if stream != nil && len(stream.Found()) > 0 {
		r.Findings = append(r.Findings, fmt.Sprintf("it holds %d keys of the store in the clear", len(stream.Found())))
	}
	for _, e := range table.Entries() {
		at, size := table.ByteRange(e)
		c, err := sparse.Section(disk, at, size)
		if err != nil {
			return r, err
		}
		if err := o.partition(ctx, e, c, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// hash reads the whole disk: its digest, and the search for secrets, which holes
// cannot hold.
func (o Options) hash(ctx context.Context, disk sparse.Content, r *Result) (*artifact.FinderStream, error) {
	h := sha256.New()
	var stream *artifact.FinderStream
	data := io.Writer(h)
	if o.Secrets != nil {
		stream = o.Secrets.Begin()
		data = io.MultiWriter(h, stream)
	}
	buf, zeros := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < disk.Size(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		from, to, err := disk.Next(at)
		if err != nil {
			return nil, err
		}
		for ; at < from; at += min(from-at, int64(len(zeros))) {
			h.Write(zeros[:min(from-at, int64(len(zeros)))])
		}
		for to = min(to, from+64<<20); at < to; {
			part := buf[:min(to-at, int64(len(buf)))]
			if n, err := disk.ReadAt(part, at); n < len(part) {
				return nil, fmt.Errorf("read at byte %d: %w", at, err)
			}
			if bytes.Equal(part, zeros[:len(part)]) {
				h.Write(part)
			} else if _, err := data.Write(part); err != nil {
				return nil, err
			}
			at += int64(len(part))
		}
	}
	r.SHA256 = hex.EncodeToString(h.Sum(nil))
	return stream, nil
}

// partition looks at the files of one partition, where that can be done.
func (o Options) partition(ctx context.Context, e gpt.Entry, c sparse.Content, r *Result) error {
	name := fmt.Sprintf("partition %d %q", e.Number, e.Label)
	for _, own := range o.Own {
		if e.Label == own {
			return nil
		}
	}
	if _, ok := ext4.Label(c); !ok {
		first := make([]byte, 64<<10)
		if n, _ := c.ReadAt(first[:min(int64(len(first)), c.Size())], 0); !bytes.Equal(first[:n], make([]byte, n)) {
			r.Unread = append(r.Unread, name+": it is not ext4")
		}
		return nil
	}
	fs, err := ext4.OpenReader(c)
	if err != nil {
		r.Unread = append(r.Unread, name+": "+err.Error())
		return nil
	}
	w := walk{fs: fs, name: name, result: r, seen: map[uint32]bool{}, left: c.Size()}
	return w.root(ctx)
}
