package lab

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress writes one line per event, and on a terminal one more that tells what
// is being waited for, and for how long.
type Progress struct {
	out  io.Writer
	live bool

	mu    sync.Mutex
	what  string
	since time.Time
	stop  chan struct{}
}

// NewProgress writes to out; the line that changes is for terminals alone. Close it.
func NewProgress(out io.Writer, terminal bool) *Progress {
	p := &Progress{out: out, live: terminal, stop: make(chan struct{})}
	if terminal {
		go p.tick()
	}
	return p
}

// clearLine returns to the begin of a terminal's line and empties it.
const clearLine = "\r\x1b[K"

// Write takes whole lines.
func (p *Progress) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.what != "" {
		fmt.Fprint(p.out, clearLine)
	}
	return p.out.Write(data)
}

// Live says what is going on.
func (p *Progress) Live(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.what, p.since = what, time.Now()
}

// Close removes the line.
func (p *Progress) Close() {
	close(p.stop)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.live && p.what != "" {
		fmt.Fprint(p.out, clearLine)
	}
	p.live, p.what = false, ""
}

func (p *Progress) tick() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-t.C:
		}
		p.mu.Lock()
		if p.live && p.what != "" {
			fmt.Fprintf(p.out, "%s  ... %s (%.0f s)", clearLine, p.what, time.Since(p.since).Seconds())
		}
		p.mu.Unlock()
	}
}

// live tells a terminal what is going on.
func (l *Lab) live(what string) {
	if p, ok := l.Log.(*Progress); ok {
		p.Live(what)
	}
}
