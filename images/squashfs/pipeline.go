package squashfs

import (
	"context"
	"fmt"
	"io"
	"sync"
)

const stored = 1 << 24 // in a block's size: it is not compressed

// block is one piece of data on its way: read, compressed, written.
type block struct {
	data   []byte
	packed []byte
	size   uint32 // as block lists have it
	// whole blocks are never holes: fragments must be there.
	whole bool
	err   error
	done  chan struct{}
	// place is told where the block came to lie. It is called in the order in which
	// blocks were sent.
	place func(start uint64, size uint32)
}

// pipeline compresses blocks on several workers and writes them in the order in which
// they were sent. It holds a few blocks per worker and never more.
type pipeline struct {
	ctx       context.Context
	blockSize int
	work      chan *block
	order     chan *block
	free      chan *block
}

// pump runs produce, which sends blocks, and writes them to out, which lies at start
// in the image. It returns where the data ends.
func pump(o Options, out io.Writer, start uint64, produce func(*pipeline) error) (uint64, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	depth := 2*o.Workers + 1
	p := &pipeline{ctx: ctx, blockSize: o.BlockSize, work: make(chan *block, depth), order: make(chan *block, depth), free: make(chan *block, depth)}
	for range depth {
		p.free <- &block{data: make([]byte, 0, o.BlockSize)}
	}
	var workers sync.WaitGroup
	for range o.Workers {
		c, err := newCompressor(o.Compression, o.Level, o.BlockSize)
		if err != nil {
			close(p.work)
			workers.Wait()
			return 0, err
		}
		workers.Go(func() {
			for b := range p.work {
				b.pack(c)
			}
		})
	}
	var produced error
	go func() {
		defer close(p.order)
		defer close(p.work)
		if produced = produce(p); produced != nil {
			cancel(produced)
		}
	}()
	end, err := p.write(out, start)
	if err != nil {
		cancel(err)
	}
	for range p.order { // the producer notices, and ends
	}
	workers.Wait()
	if err == nil {
		err = produced
	}
	return end, err
}

// write is the last step: blocks in their order.
func (p *pipeline) write(out io.Writer, at uint64) (uint64, error) {
	for b := range p.order {
		<-b.done
		if b.err != nil {
			return at, b.err
		}
		if b.size == 0 {
			b.place(at, 0) // a hole
		} else {
			n, err := out.Write(b.packed)
			if err != nil {
				return at, err
			}
			b.place(at, b.size)
			at += uint64(n)
		}
		p.free <- b
	}
	return at, nil
}

// take is an empty block to fill; it waits until one is free.
func (p *pipeline) take() (*block, error) {
	select {
	case b := <-p.free:
		b.data, b.size, b.whole, b.err, b.done = b.data[:0], 0, false, nil, make(chan struct{})
		return b, nil
	case <-p.ctx.Done():
		return nil, context.Cause(p.ctx)
	}
}

// send hands a filled block on. Channels hold every block there is, so that it never waits.
func (p *pipeline) send(b *block, place func(start uint64, size uint32)) {
	b.place = place
	p.order <- b
	p.work <- b
}

// pack compresses a block, or finds that it is a hole, or better left as it is.
func (b *block) pack(c *compressor) {
	defer close(b.done)
	if !b.whole && zero(b.data) {
		b.size = 0
		return
	}
	packed, smaller, err := c.compress(b.packed, b.data)
	if err != nil {
		b.err = fmt.Errorf("compress: %w", err)
		return
	}
	b.packed, b.size = packed, uint32(len(packed))
	if !smaller {
		b.packed, b.size = append(packed[:0], b.data...), uint32(len(b.data))|stored
	}
}

func zero(data []byte) bool {
	for _, x := range data {
		if x != 0 {
			return false
		}
	}
	return true
}
