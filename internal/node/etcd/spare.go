package etcd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Spare tells why etcd would suffer if the voter of that name went away for a while,
// and "" when it would not. It asks each other voter, and a quorum for the list. The
// only voter there is can always go: nothing that it waits for would change that.
func Spare(ctx context.Context, o Options, name string) (why string, err error) {
	n, err := load(o)
	if err != nil {
		return "", err
	}
	if _, err := n.open(); err != nil {
		return "", err
	}
	defer n.http.CloseIdleConnections()
	disk, err := readDisk(n.path(dataPath))
	if err != nil {
		return "", err
	}
	n.line = n.own(disk)
	_, entries, err := n.etcd.members(ctx, clientURL(n.address), true)
	if err != nil {
		return "", err
	}
	return spare(entries, name, n.answers(ctx, entries)), nil
}

// answers are the names of the members whose etcd answers as a voter of this cluster.
func (n *node) answers(ctx context.Context, entries []Entry) (names []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, e := range entries {
		wg.Go(func() {
			s, err := n.etcd.status(ctx, clientURL(n.addresses[e.Name]))
			if err != nil || s.Learner || s.Header.Member != e.ID || s.Header.Cluster != n.line.id {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			names = append(names, e.Name)
		})
	}
	wg.Wait()
	return names
}

// spare judges a list that a quorum confirmed.
func spare(entries []Entry, name string, answering []string) (why string) {
	var voters int
	var bad []string
	for _, e := range entries {
		switch {
		case e.Learner || !e.Started:
			bad = append(bad, e.Name+" is still joining")
			continue
		case e.Name != name && !slices.Contains(answering, e.Name):
			bad = append(bad, e.Name+" does not answer")
		}
		voters++
	}
	switch {
	case len(bad) > 0:
		slices.Sort(bad)
		return "etcd: " + strings.Join(bad, ", ")
	case voters > 1 && voters-1 < voters/2+1:
		return fmt.Sprintf("etcd: of %d voters none can go without stopping the others", voters)
	}
	return ""
}
