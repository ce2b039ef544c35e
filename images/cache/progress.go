package cache

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Progress is told what arrives. Add may take back what was counted.
type Progress interface {
	Add(bytes int64)
	Done(name string)
	End()
}

type silent struct{}

func (silent) Add(int64)   {}
func (silent) Done(string) {}
func (silent) End()        {}

// Lines writes one line per finished file: for logs.
func Lines(w io.Writer) func(int, int64) Progress {
	return func(files int, _ int64) Progress { return &lines{w: w, files: files} }
}

type lines struct {
	mu          sync.Mutex
	w           io.Writer
	done, files int
}

func (l *lines) Add(int64) {}
func (l *lines) End()      {}

func (l *lines) Done(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	fmt.Fprintf(l.w, "fetched %s (%d of %d)\n", name, l.done, l.files)
}

// Bar draws one line over and over: for terminals.
func Bar(w io.Writer) func(int, int64) Progress {
	return func(files int, total int64) Progress {
		b := &bar{w: w, files: files, total: total, stop: make(chan struct{}), gone: make(chan struct{})}
		go b.run()
		return b
	}
}

type bar struct {
	w     io.Writer
	total int64
	files int

	mu         sync.Mutex
	bytes      int64
	done       int
	stop, gone chan struct{}
}

func (b *bar) Add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes += n
}

func (b *bar) Done(string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done++
}

// End draws the bar once more and leaves its line.
func (b *bar) End() {
	close(b.stop)
	<-b.gone
}

func (b *bar) run() {
	defer close(b.gone)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			fmt.Fprint(b.w, "\r"+b.line()+"\x1b[K")
		case <-b.stop:
			fmt.Fprint(b.w, "\r"+b.line()+"\x1b[K\n")
			return
		}
	}
}

const barWidth = 30

func (b *bar) line() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	filled := 0
	if b.total > 0 {
		filled = int(min(max(b.bytes, 0)*barWidth/b.total, barWidth))
	}
	return fmt.Sprintf("[%s%s] %s of %s, %d of %d files", strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled),
		Bytes(max(b.bytes, 0)), Bytes(b.total), b.done, b.files)
}

// Bytes is a size as people read it, in decimal units.
func Bytes(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	case n < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}
