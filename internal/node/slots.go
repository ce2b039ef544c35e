package node

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// slot is one file of the slots folder, not opened yet.
type slot struct {
	node   string
	match  []string
	sealed bool
	data   []byte
}

// slots reads the slots of a role document, sorted by node name; none when
// there is no folder. One that cannot be read makes the payload worthless: which
// machine it was for cannot be told.
func (h host) slots() ([]slot, error) {
	entries, err := os.ReadDir(h.path(artifact.SlotDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, bootcode.Fail(bootcode.SlotDamaged, "%v", err)
	}
	var out []slot
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), artifact.SlotSuffix)
		if !ok {
			continue // half a file of whoever wrote the folder
		}
		file := filepath.Join(artifact.SlotDir, e.Name())
		data, err := os.ReadFile(h.path(file))
		if err != nil {
			return nil, bootcode.Fail(bootcode.SlotDamaged, "%v", err)
		}
		s := slot{data: data}
		if s.node, s.match, s.sealed, err = artifact.SlotHeader(data); err != nil {
			return nil, bootcode.Fail(bootcode.SlotDamaged, "%s: %v", file, err)
		}
		if s.node != name {
			return nil, bootcode.Fail(bootcode.SlotDamaged, "%s is the slot of %s", file, s.node)
		}
		out = append(out, s)
	}
	return out, nil
}

// open decodes a slot, with the claim key when it is sealed.
func (s slot) open(c claimLine) (artifact.Slot, error) {
	file := filepath.Join(artifact.SlotDir, s.node+artifact.SlotSuffix)
	if !s.sealed {
		opened, err := artifact.DecodeSlot(s.data)
		if err != nil {
			return artifact.Slot{}, bootcode.Fail(bootcode.SlotDamaged, "%s: %v", file, err)
		}
		return opened, nil
	}
	if c.node != s.node {
		return artifact.Slot{}, bootcode.Fail(bootcode.ClaimMissing, "the slot is that of %s; looked for a claim line in %s", s.node, strings.Join(claimPlaces(), ", "))
	}
	opened, err := artifact.OpenSlot(s.data, c.key)
	switch {
	case errors.Is(err, artifact.ErrWrongKey):
		return artifact.Slot{}, bootcode.Fail(bootcode.ClaimWrong, "the claim line from %s is for %s, but its key does not open that slot: it is of another cluster called the same, or of another store", c.source, s.node)
	case err != nil:
		return artifact.Slot{}, bootcode.Fail(bootcode.SlotDamaged, "%s: %v", file, err)
	}
	return opened, nil
}

func nodesOf(slots []slot) []string {
	out := make([]string, len(slots))
	for i, s := range slots {
		out[i] = s.node
	}
	return out
}

// dropSlots removes the slots folder, the node's own slot last: while it is
// there, a killed run can be completed.
func (h host) dropSlots(own string) error {
	entries, err := os.ReadDir(h.path(artifact.SlotDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	last := own + artifact.SlotSuffix
	slices.SortFunc(entries, func(a, b fs.DirEntry) int {
		switch last {
		case a.Name():
			return 1
		case b.Name():
			return -1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	for _, e := range entries {
		if err := h.remove(filepath.Join(artifact.SlotDir, e.Name())); err != nil {
			return err
		}
		h.at("removed " + e.Name())
	}
	return h.remove(artifact.SlotDir)
}
