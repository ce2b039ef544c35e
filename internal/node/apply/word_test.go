package apply

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// word takes what an applier reports, and what the API server warns of.
type word struct {
	mu     sync.Mutex
	begun  time.Time
	lines  []string
	done   int
	codes  map[int]string
	warned []string
}

func (w *word) note(text string) {
	w.lines = append(w.lines, fmt.Sprintf("%6.2fs %s", time.Since(w.begun).Seconds(), text))
}

func (w *word) Failed(f *bootcode.Failure) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.codes[f.Code.Number] = f.Error()
	w.note(f.Error())
}

func (w *word) Waiting(_, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note("waits: " + what)
}

func (w *word) Done(_, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done++
	w.note("done: " + what)
}

func (w *word) warning(what, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.warned = append(w.warned, what+": "+text)
}

func (w *word) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

// text is what was last said with a code.
func (w *word) text(code int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.codes[code]
}

func (w *word) finished() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.done > 0
}
