package pki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockName is the file that a writing run locks. It also holds the run's
// journal, and git ignores it.
const lockName = ".lock"

// lockPoll is how often a waiting run looks again.
const lockPoll = 50 * time.Millisecond

// journal is the contents of the lock file: who writes, and the files that the
// run makes or drops. The next run removes those of them that the index does
// not name, whether this one was killed before or after it replaced the index.
type journal struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
	Files []string  `json:"files,omitempty"`
}

func (j journal) String() string {
	return fmt.Sprintf("process %d on %s, since %s", j.PID, j.Host, j.Since.UTC().Format(time.RFC3339))
}

// lock is an exclusive hold on a store. The system releases it when the process
// ends, however it ends.
type lock struct {
	file *os.File
	mine journal
	// left is what the last run had not finished.
	left []string
}

// errHeld means that another run holds the lock.
var errHeld = errors.New("the store is in use")

// takeLock waits at most patience for the store in dir; waiting is told once who
// holds it.
func takeLock(ctx context.Context, dir string, now time.Time, patience time.Duration, waiting func(holder string)) (*lock, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for told := false; ; told = true {
		l, holder, err := tryLock(dir, now)
		if !errors.Is(err, errHeld) {
			return l, err
		}
		if !told && waiting != nil {
			waiting(holder)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w by %s: wait until it is done, then run this again; nothing was changed", errHeld, holder)
		case <-time.After(lockPoll):
		}
	}
}

func tryLock(dir string, now time.Time) (l *lock, holder string, err error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		return nil, "", fmt.Errorf("%w: make %s writable for this user; nothing was changed", err, dir)
	}
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if l == nil {
			f.Close()
		}
	}()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, "", fmt.Errorf("lock %s: %w", path, err)
		}
		if j, ok := readJournal(f); ok {
			return nil, j.String(), errHeld
		}
		return nil, "another imgforge", errHeld
	}
	// The lock counts only while the file still has its name: somebody may have
	// removed it between open and flock, and a third run would lock a new one.
	ours, err1 := f.Stat()
	named, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(ours, named) {
		return nil, "another imgforge", errHeld
	}
	last, _ := readJournal(f) // unreadable: that run was killed while it wrote its journal, before any other file
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	held := &lock{file: f, mine: journal{PID: os.Getpid(), Host: host, Since: now.UTC()}, left: last.Files}
	if err := held.record(last.Files); err != nil {
		return nil, "", fmt.Errorf("write %s: %w", path, err)
	}
	return held, "", nil
}

func readJournal(f *os.File) (j journal, ok bool) {
	// A run killed while it wrote may have left the end of a longer journal
	// behind its own, so only the first value counts.
	if json.NewDecoder(io.NewSectionReader(f, 0, 64<<20)).Decode(&j) != nil {
		return journal{}, false
	}
	return j, true
}

// record makes the journal durable before the files in it are touched. It is
// written over the old one before that is cut off: at no moment is there none.
func (l *lock) record(files []string) error {
	l.mine.Files = files
	data, err := json.Marshal(l.mine)
	if err != nil {
		return err
	}
	if _, err := l.file.WriteAt(data, 0); err != nil {
		return err
	}
	if err := l.file.Truncate(int64(len(data))); err != nil {
		return err
	}
	return l.file.Sync()
}

// release ends the hold. The file stays, since removing a lock file is a race,
// and is empty unless something is left to tidy.
func (l *lock) release() {
	if len(l.mine.Files) == 0 {
		_ = l.file.Truncate(0)
	}
	l.file.Close()
}
