package etcd

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imgforge/imgforge/internal/artifact"
)

// memory is /var/lib/imgforge/etcd.json: what a node remembers of its membership.
// It lies outside the data folder because that is often a disk of its own, which
// can be replaced, or not be mounted after an update. Three masters that all boot
// without their data disks must not take themselves for new and found an empty
// cluster.
type memory struct {
	Past string `json:"past"` // agreed | joining | member | given-up
	// Founding is the cluster that the promise or the membership is of.
	Founding ID `json:"founding"`
	// Restored is the hash of the snapshot that Founding comes of; "" for the first cluster.
	Restored string `json:"restored,omitempty"`
	// Added is the learner that was added for this node.
	Added ID `json:"added,omitempty"`
	// Volume names the data folder in which etcd had not run yet. The same name
	// stands in that folder: an empty folder without it is another one, or one that
	// was emptied, and then nobody knows whether etcd ran.
	Volume string `json:"volume,omitempty"`
}

// mark is imgforge.json in the data folder. etcd warns of it and leaves it alone.
type mark struct {
	Volume string `json:"volume"`
	// Restored is that of the memory: it tells which cluster data belongs to when the
	// rest of the machine is new.
	Restored string `json:"restored,omitempty"`
}

// recall reads what is remembered of a cluster. What cannot be read is taken for the
// past that permits least. Of a cluster that a snapshot is to make, memories of others
// say nothing: the snapshot stands in for what was lost with those.
func (n *node) recall(l lineage) (Past, ID, error) {
	data, err := os.ReadFile(n.path(memoryPath))
	if errors.Is(err, fs.ErrNotExist) {
		return Never, 0, nil
	}
	if err != nil {
		return Member, 0, fmt.Errorf("read what this node remembers: %w", err)
	}
	var m memory
	if json.Unmarshal(data, &m) != nil {
		return Member, 0, nil
	}
	if m.Founding != l.id {
		if c := n.candidate.Load(); c != nil && c.hash == l.restored {
			return Never, 0, nil
		}
		return Member, 0, nil
	}
	if m.Past == "given-up" {
		return GivenUp, 0, nil
	}
	var here mark
	data, err = os.ReadFile(filepath.Join(n.path(dataPath), markName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Member, 0, fmt.Errorf("read the mark of the data folder: %w", err)
	}
	same := err == nil && json.Unmarshal(data, &here) == nil && m.Volume != "" && here.Volume == m.Volume
	switch {
	case m.Past == "agreed" && same:
		return Agreed, 0, nil
	case m.Past == "joining" && same:
		return Joining, m.Added, nil
	}
	return Member, 0, nil
}

// remember makes a past durable. It is in place before anything that rests on it:
// before others hear of a promise, and before etcd runs.
func (n *node) remember(past Past, added ID) error {
	m := memory{Past: "member", Founding: n.line.id, Restored: n.line.restored}
	if past == GivenUp {
		m.Past = "given-up"
	}
	if past == Agreed || past == Joining {
		m.Past, m.Added = "agreed", added
		if past == Joining {
			m.Past = "joining"
		}
		var name [16]byte
		if _, err := io.ReadFull(n.o.Rand, name[:]); err != nil {
			return fmt.Errorf("name the data folder: %w", err)
		}
		m.Volume = hex.EncodeToString(name[:])
		if err := writeJSON(filepath.Join(n.path(dataPath), markName), mark{m.Volume, m.Restored}); err != nil {
			return fmt.Errorf("mark the data folder: %w", err)
		}
		if err := n.fault("marked"); err != nil {
			return err
		}
	}
	return writeJSON(n.path(memoryPath), m)
}

// rememberData notes that etcd has run, as soon as its data is seen.
func (n *node) rememberData() error {
	var m memory
	data, err := os.ReadFile(n.path(memoryPath))
	if err == nil && json.Unmarshal(data, &m) == nil && m.Founding == n.line.id && (m.Past == "member" || m.Past == "given-up") {
		return nil
	}
	return n.remember(Member, 0)
}

func writeJSON(path string, v any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return artifact.WriteBytes(path, 0o600, append(data, '\n'))
}
