package lab

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A ledger is what clients were told by the API: the writes that it acknowledged, and
// when each client had a success.
//
// A write is the creation of a ConfigMap under a name of its own that nobody uses
// again. It is acknowledged when the API answered 201 with the very object and its
// resource version; or when it answered 409 to a repetition of a creation that had no
// answer, and a read that is not of a cache then showed the very object. Of any other
// write nothing is known: it may be there or not, and is no loss when it is not. It is
// repeated under the same name until it is acknowledged.
type ledger struct {
	namespace string
	salt      string // of this cluster's run

	mu        sync.Mutex
	written   []entry
	sent      map[string]bool        // every name that was ever sent
	successes map[string][]time.Time // by what was done
	wrong     []error                // answers that no correct API gives
	log       func(string)
	apart     []*Node
	standing  int       // how often clients were sent elsewhere
	far       bool      // their way to the API is long
	snapshot  time.Time // see restored
}

// entry is an acknowledged write.
type entry struct {
	name     string
	revision int64 // the object's resource version, which is etcd's revision of it
	at       time.Time
	attempts int
}

func newLedger(salt string, log func(string)) *ledger {
	return &ledger{namespace: "ledger", salt: salt, sent: map[string]bool{}, successes: map[string][]time.Time{}, log: log}
}

// value is what a name's object holds: nobody else would write it.
func (l *ledger) value(name string) string {
	return fmt.Sprintf("%s-%x", name, sha256.Sum256([]byte(l.salt+name)))
}

// sending notes that a name goes out, and tells whether it was sent before.
func (l *ledger) sending(name string) (again bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	again, l.sent[name] = l.sent[name], true
	return again
}

// acknowledge notes a write that the API acknowledged.
func (l *ledger) acknowledge(e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written = append(l.written, e)
}

// acknowledged counts the writes so far.
func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.written)
}

// latest is the write that was acknowledged last.
func (l *ledger) latest() (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.written) == 0 {
		return entry{}, false
	}
	return l.written[len(l.written)-1], true
}

// all are the writes that must be there, and whether a name was ever sent.
func (l *ledger) all() (due []entry, known func(string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.written {
		if l.snapshot.IsZero() || e.at.Before(l.snapshot) || e.at.After(l.restart()) {
			due = append(due, e)
		}
	}
	return due, func(name string) bool { // asked when the reading is over: clients go on
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.sent[name]
	}
}

// restored says that of the writes until now those after a time are gone, as told.
func (l *ledger) restored(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.snapshot = at
	l.successes[restarted] = []time.Time{time.Now()}
}

// restarted is under what a ledger notes when etcd was founded again.
const restarted = "etcd was founded again"

func (l *ledger) restart() time.Time { return l.successes[restarted][0] }

// goesFar says whether the clients' way to the API is long.
func (l *ledger) goesFar(far bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.far = far
}

// patience is how long a client waits for an answer.
func (l *ledger) patience() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.far {
		return patienceFar
	}
	return patience
}

// success notes that a client had what it asked for.
func (l *ledger) success(what string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.successes[what] = append(l.successes[what], at)
}

// violation notes an answer that no correct API gives.
func (l *ledger) violation(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wrong = append(l.wrong, err)
	l.log("WRONG: " + err.Error())
}

// violated returns what was noted since it was last asked.
func (l *ledger) violated() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) == 0 {
		return nil
	}
	err := fmt.Errorf("%d answers that no correct API gives, such as: %w", len(l.wrong), l.wrong[0])
	l.wrong = nil
	return err
}

// longest is the longest time between two successes that overlaps a span of time. At
// the span's end it counts up to there when there was none since.
func (l *ledger) longest(what string, from, to time.Time) time.Duration {
	l.mu.Lock()
	at := slices.Clone(l.successes[what])
	l.mu.Unlock()
	slices.SortFunc(at, time.Time.Compare)
	return longestGap(at, from, to)
}

func longestGap(at []time.Time, from, to time.Time) (longest time.Duration) {
	last := from // without a success before, nothing is known before
	for _, t := range at {
		if t.After(to) {
			return max(longest, t.Sub(last)) // it was silent for as long as that
		}
		if !t.Before(from) {
			longest = max(longest, t.Sub(last))
		}
		last = t
	}
	return max(longest, to.Sub(last))
}

// succeededSince tells whether clients read and wrote through the endpoint.
func (l *ledger) succeededSince(from time.Time) error {
	return l.since(from, readsThrough, writesThrough)
}

// allSucceededSince tells whether the operator wrote too.
func (l *ledger) allSucceededSince(from time.Time) error {
	return l.since(from, readsThrough, writesThrough, writesOutside)
}

func (l *ledger) since(from time.Time, kinds ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, what := range kinds {
		at := l.successes[what]
		if len(at) == 0 || at[len(at)-1].Before(from) {
			return fmt.Errorf("no success since: %s", what)
		}
	}
	return nil
}

// stored is an object as somebody keeps it.
type stored struct {
	revision int64
	holds    func(value string) bool
}

// judge compares what must be there with what is. Lost are writes that are not there,
// hold something else or are of another revision; foreign are names nobody sent.
func (l *ledger) judge(where string, due []entry, known func(string) bool, there map[string]stored) (lost []string, foreign []string) {
	for _, e := range due {
		s, ok := there[e.name]
		switch {
		case !ok:
			lost = append(lost, fmt.Sprintf("%s is not in %s", e.name, where))
		case !s.holds(l.value(e.name)):
			lost = append(lost, fmt.Sprintf("%s holds something else in %s", e.name, where))
		case s.revision != e.revision:
			lost = append(lost, fmt.Sprintf("%s is of revision %d in %s, not %d", e.name, s.revision, where, e.revision))
		}
	}
	for name := range there {
		if !known(name) {
			foreign = append(foreign, fmt.Sprintf("%s is in %s, and nobody sent it", name, where))
		}
	}
	slices.Sort(foreign)
	return lost, foreign
}
