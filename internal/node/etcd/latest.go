package etcd

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"

	"github.com/imgforge/imgforge/internal/node/snapshot"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// wanted is the name of what etcd.restoreFrom names, without its folder.
func (n *node) wanted() string {
	u, err := url.Parse(n.restore)
	if err != nil {
		return ""
	}
	return path.Base(u.Path)
}

// asks tells whether an offer is what etcd.restoreFrom asks for: an exact name is taken
// at its word, and a promise cannot be taken back.
func (n *node) asks(o offer) bool {
	want, exact := form.ParseName(n.wanted())
	return !exact || o.Promised || want.Compare(o.name()) == 0
}

func (o offer) name() form.Name { return form.Name{Time: o.Time, Revision: o.Revision} }

// dispute refuses the better one of two masters' snapshots when the other one holds more:
// they found their own latest ones. All masters see both, so that none agrees to either.
func (n *node) dispute(a, b offer) error {
	if b.better(a) {
		a, b = b, a
	}
	if b.Hash == "" || a.Promised || n.wanted() != form.Latest {
		return nil
	}
	return a.name().Confirm([]form.Name{b.name()})
}

// confirm refuses the latest snapshot of a folder when another one there holds more. A
// file of that name that is no link is what a person put there.
func (n *node) confirm() error {
	if n.wanted() != form.Latest {
		return nil
	}
	to, err := os.Readlink(n.path(n.restore))
	if err != nil {
		return nil // opening it says why
	}
	latest, ok := form.ParseName(to)
	if !ok {
		return nil // a person's too
	}
	names, err := snapshot.List(filepath.Dir(n.path(n.restore)))
	if err != nil {
		return fmt.Errorf("see what is beside it: %w", err)
	}
	return latest.Confirm(names)
}
