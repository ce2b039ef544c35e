package lab

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// vmLedger is a client of etcd in machines that run no API server: it writes numbered
// keys, one after the other and each through another master, none of them twice. A
// write is acknowledged when etcdctl says so; of any other nothing is known.
type vmLedger struct {
	machines []*VM
	stop     func() // ends it, and returns when its last write has ended

	mu           sync.Mutex
	acknowledged []string
	last         time.Time
	gap          time.Duration // the longest between two acknowledged writes
}

const (
	vmLedgerFolder = "lab/"
	// vmLedgerPause is how long emulated machines are left alone between two writes.
	vmLedgerPause = 3 * time.Second
)

// writeKeys begins to write.
func writeKeys(ctx context.Context, machines []*VM) *vmLedger {
	ctx, cancel := context.WithCancel(ctx)
	l := &vmLedger{machines: machines, last: time.Now()}
	ended := make(chan struct{})
	l.stop = func() { cancel(); <-ended }
	go func() {
		defer close(ended)
		for i := 0; ctx.Err() == nil; i++ {
			name := fmt.Sprintf("%s%05d", vmLedgerFolder, i)
			if _, err := machines[i%len(machines)].Run(ctx, etcdctl("put", name, vmValue(name))...); err == nil {
				l.acknowledge(name)
			}
			rest(ctx, vmLedgerPause)
		}
	}()
	return l
}

// vmValue is what a key holds.
func vmValue(name string) string { return "the value of " + name }

func (l *vmLedger) acknowledge(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acknowledged = append(l.acknowledged, name)
	now := time.Now()
	l.gap, l.last = max(l.gap, now.Sub(l.last)), now
}

// count is how many writes were acknowledged.
func (l *vmLedger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acknowledged)
}

// grows is a check that more writes are acknowledged than there were.
func (l *vmLedger) grows(from int) error {
	if now := l.count(); now <= from {
		return fmt.Errorf("%d writes were acknowledged, %d of them before", now, from)
	}
	return nil
}

// missing lists acknowledged writes that a machine's own etcd does not have.
func (l *vmLedger) missing(ctx context.Context, v *VM) (lost []string, err error) {
	out, err := v.Run(ctx, etcdctl("get", "--prefix", "--consistency=s", vmLedgerFolder)...)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return missingIn(out, l.acknowledged), nil
}

// missingIn lists names that are not in what etcdctl prints, or hold something else.
func missingIn(out string, names []string) (lost []string) {
	there := map[string]string{}
	lines := strings.Split(out, "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		there[lines[i]] = lines[i+1]
	}
	for _, name := range names {
		if there[name] != vmValue(name) {
			lost = append(lost, name)
		}
	}
	return lost
}
