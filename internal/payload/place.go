package payload

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// SlotDir is where a role payload puts the slots of its nodes.
const SlotDir = "/etc/imgforge/slots"

// fetchThreshold is the size in bytes under which fetching a file saves
// nothing: a reference and its hash cost some 250 bytes.
const fetchThreshold = 1024

// placed is a file of the document as the payload carries it: with its
// contents, or with the place to fetch them from.
type placed struct {
	artifact.File
	source, hash string
}

// FetchedPath is where a file with this SHA-256, in hex, is served below
// Options.ArtifactsURL, and lies below the public part of an output folder. A file that
// changes gets another name, so that nodes with an older payload still find theirs.
func FetchedPath(sha256 string) string { return "files/sha256-" + sha256 }

// place lists the files of a document in the order of the payload: its own,
// then one slot per node, then what it fetches in any case. fetched are those that nodes fetch from
// o.ArtifactsURL instead, named by their hash and sorted.
func place(doc *Document, o Options) (files []placed, fetched []artifact.File, err error) {
	for _, f := range doc.Files {
		p := placed{File: f}
		if o.ArtifactsURL != "" && !f.Secret && !f.Node && len(f.Contents) > fetchThreshold {
			sum := sha256.Sum256(f.Contents)
			digest := hex.EncodeToString(sum[:])
			p.refer(o, digest)
			fetched = append(fetched, artifact.File{Path: FetchedPath(digest), Contents: f.Contents})
		}
		files = append(files, p)
	}
	slices.SortFunc(fetched, func(a, b artifact.File) int { return cmp.Compare(a.Path, b.Path) })
	fetched = slices.CompactFunc(fetched, func(a, b artifact.File) bool { return a.Path == b.Path })
	for _, s := range doc.Slots {
		f, err := slotFile(s, o)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	for _, r := range doc.Remotes {
		if o.ArtifactsURL == "" {
			return nil, nil, fmt.Errorf("%s is fetched, and no URL says from where", r.Path)
		}
		p := placed{File: artifact.File{Path: r.Path, Mode: r.Mode}}
		p.refer(o, r.SHA256)
		files = append(files, p)
	}
	return files, fetched, nil
}

// refer has a file come from where its hash names it.
func (p *placed) refer(o Options, digest string) {
	p.hash = "sha256-" + digest
	p.source = strings.TrimSuffix(o.ArtifactsURL, "/") + "/" + FetchedPath(digest)
}

func slotFile(s artifact.Slot, o Options) (placed, error) {
	if s.Node == "" || strings.ContainsAny(s.Node, "/\x00") {
		return placed{}, fmt.Errorf("slot %q: a slot is named like its node", s.Node)
	}
	data, err := encodeSlot(s, o)
	if err != nil {
		return placed{}, fmt.Errorf("slot of %s: %w", s.Node, err)
	}
	return placed{File: artifact.File{
		Path: SlotDir + "/" + s.Node + ".slot", Mode: 0o600, Contents: data, Secret: true, Node: true,
	}}, nil
}

func encodeSlot(s artifact.Slot, o Options) ([]byte, error) {
	if o.Seal == nil {
		return artifact.EncodeSlot(s)
	}
	key, err := o.Seal(s.Node)
	if err != nil {
		return nil, err
	}
	if bytes.Equal(key[:], make([]byte, len(key))) {
		return nil, errors.New("the key to seal it with is empty")
	}
	return artifact.SealSlot(s, key)
}
