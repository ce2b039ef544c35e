package etcd

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// A cluster that was restored is another etcd cluster than the one that its snapshot
// is of: its token is the old one and the hash of the snapshot, and so are the ids of
// the cluster and of every member. A machine that comes back with data of the old one
// cannot mix with it. All clusters of one token and the same founders are a family:
// whoever knows the token can tell from the hash alone that a cluster belongs to it,
// so payloads without etcd.restoreFrom work on after a restore.

// lineage is a cluster of the family.
type lineage struct {
	restored string // hash of the snapshot that it began from; "" for the first one
	id       ID
}

// lineageOf is the cluster that was, or would be, restored from a snapshot.
func (n *node) lineageOf(restored string) lineage {
	return lineage{restored, foundingID(n.tokenOf(restored), n.founders)}
}

// tokenOf is etcd's token of a cluster of the family.
func (n *node) tokenOf(restored string) string {
	if restored == "" {
		return n.token
	}
	return n.token + "-" + restored
}

// own is the cluster that this node belongs to as far as it can tell by itself: that
// of its data; without data the one that its snapshot would make, then the one that
// it remembers.
func (n *node) own(disk Disk) lineage {
	var m memory
	if data, err := os.ReadFile(n.path(memoryPath)); err != nil || json.Unmarshal(data, &m) != nil {
		m = memory{}
	}
	var k mark
	if data, err := os.ReadFile(filepath.Join(n.path(dataPath), markName)); err != nil || json.Unmarshal(data, &k) != nil {
		k = mark{}
	}
	known := []lineage{n.lineageOf(""), n.lineageOf(m.Restored), n.lineageOf(k.Restored)}
	c := n.candidate.Load()
	if c != nil {
		known = append(known, n.lineageOf(c.hash))
	}
	switch {
	case disk.Held == Data:
		for _, l := range known {
			if l.id == disk.Cluster {
				return l
			}
		}
	case c != nil:
		return n.lineageOf(c.hash)
	case m.Restored != "" && m.Founding == known[1].id:
		return known[1]
	}
	return known[0]
}

// joined is the cluster that others have data of, for a node that has none; ok is
// false when nobody has. Who has data of two is told by name: then nothing is safe.
func (n *node) joined(others []Peer, own lineage) (l lineage, strange string, ok bool) {
	family := []lineage{own, n.lineageOf("")}
	for _, p := range others {
		family = append(family, n.lineageOf(p.restored))
	}
	for _, p := range others {
		if !p.holds() || p.State == Broken {
			continue
		}
		of, known := lineage{}, false
		for _, f := range family {
			if f.id == p.Cluster {
				of, known = f, true
			}
		}
		switch {
		case !known && p.State == Serving:
			return own, p.Name, false
		case !known:
		case ok && of != l:
			return own, p.Name, false
		default:
			l, ok = of, true
		}
	}
	if !ok {
		l = own
	}
	return l, "", ok
}
