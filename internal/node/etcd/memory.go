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
	Past string `json:"past"` // agreed | joining | member
	// Founding is the cluster that the promise or the membership is of.
	Founding ID `json:"founding"`
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
}

// recall reads what is remembered. What cannot be read is taken for the past that
// permits least.
func (n *node) recall() (Past, ID, error) {
	data, err := os.ReadFile(n.path(memoryPath))
	if errors.Is(err, fs.ErrNotExist) {
		return Never, 0, nil
	}
	if err != nil {
		return Member, 0, fmt.Errorf("read what this node remembers: %w", err)
	}
	var m memory
	if json.Unmarshal(data, &m) != nil || m.Founding != n.founding {
		return Member, 0, nil
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
	m := memory{Past: "member", Founding: n.founding}
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
		if err := writeJSON(filepath.Join(n.path(dataPath), markName), mark{m.Volume}); err != nil {
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
	if err == nil && json.Unmarshal(data, &m) == nil && m.Past == "member" {
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
