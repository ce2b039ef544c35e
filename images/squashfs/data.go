package squashfs

import (
	"errors"
	"fmt"
	"io"
)

// fragment is where a block shared by the ends of small files lies.
type fragment struct {
	start uint64
	size  uint32
}

// packer reads files one after the other and cuts them into blocks.
type packer struct {
	p         *pipeline
	open      *block // the fragment that is being filled
	fragments []*fragment
}

// files sends the contents of all files. Those smaller than a block share fragments.
func (p *packer) files(nodes []*node) error {
	for _, n := range nodes {
		if !n.Mode.IsRegular() || n.Size == 0 {
			continue
		}
		if err := p.file(n); err != nil {
			return fmt.Errorf("file %q: %w", n.Path, err)
		}
	}
	p.flush()
	return nil
}

func (p *packer) file(n *node) (err error) {
	r, err := n.Open()
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
	}()
	left := n.Size
	for left > 0 {
		piece := min(left, int64(p.p.blockSize))
		if piece == n.Size && piece < int64(p.p.blockSize) {
			err = p.share(n, r)
		} else {
			err = p.block(n, r, int(piece))
		}
		if err != nil {
			return err
		}
		left -= piece
	}
	// Reading on finds a file that grew, and lets a reader that checks a digest speak.
	if extra, err := io.Copy(io.Discard, io.LimitReader(r, 1)); err != nil || extra > 0 {
		return errors.Join(err, tooLong(extra, n.Size))
	}
	return nil
}

func tooLong(extra, size int64) error {
	if extra == 0 {
		return nil
	}
	return fmt.Errorf("it has more than the %d bytes announced", size)
}

// fill reads size more bytes into a block.
func fill(b *block, r io.Reader, size int) error {
	at := len(b.data)
	b.data = b.data[:at+size]
	if n, err := io.ReadFull(r, b.data[at:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("it ends %d bytes early", size-n)
		}
		return err
	}
	return nil
}

// block sends one block of a file.
func (p *packer) block(n *node, r io.Reader, size int) error {
	b, err := p.p.take()
	if err != nil {
		return err
	}
	if err := fill(b, r, size); err != nil {
		return err
	}
	p.p.send(b, func(start uint64, packed uint32) {
		if packed == 0 {
			n.sparse += uint64(size)
		}
		if len(n.blocks) == 0 {
			n.start = start
		}
		n.blocks = append(n.blocks, packed)
	})
	return nil
}

// share puts a small file into the fragment that is being filled, or into the next.
func (p *packer) share(n *node, r io.Reader) error {
	size := int(n.Size)
	if p.open != nil && len(p.open.data)+size > p.p.blockSize {
		p.flush()
	}
	if p.open == nil {
		b, err := p.p.take()
		if err != nil {
			return err
		}
		b.whole = true
		p.open = b
		p.fragments = append(p.fragments, &fragment{})
	}
	n.fragment, n.offset = uint32(len(p.fragments)-1), uint32(len(p.open.data))
	return fill(p.open, r, size)
}

// flush sends the fragment.
func (p *packer) flush() {
	if p.open == nil {
		return
	}
	f := p.fragments[len(p.fragments)-1]
	p.p.send(p.open, func(start uint64, size uint32) { f.start, f.size = start, size })
	p.open = nil
}
