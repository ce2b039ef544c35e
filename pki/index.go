package pki

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"

	"github.com/imgforge/imgforge/internal/plan"
)

// indexName is the one file that says what a store holds. Every other file is
// written before the index names it and never changes afterwards, so replacing
// the index is what turns the old store into the new one.
const indexName = "store.json"

// formatVersion is the version of the index and of what is sealed.
const formatVersion = 1

// kindAuthority and kindCertificate are the kinds of entries with a certificate;
// all other kinds are those of plan.Key.
const (
	kindAuthority   = "authority"
	kindCertificate = "certificate"
)

// index is the contents of store.json.
type index struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"`
	// Origin is derived from the first kubernetes authority. Everything sealed
	// carries it, so a file of another store of the same name is noticed.
	Origin     string                 `json:"origin"`
	Algorithm  string                 `json:"algorithm"`
	Recipients recipients             `json:"recipients"`
	Anchors    map[string]plan.Anchor `json:"anchors"`
	// Authorities and Entries are sorted by ID and written one per line, which
	// keeps diffs and merges readable.
	Authorities []entry `json:"authorities"`
	Entries     []entry `json:"entries"`
}

// recipients are the age public keys to which private parts are sealed.
type recipients struct {
	Authorities []string `json:"authorities"`
	Leaves      []string `json:"leaves"`
}

// head is the index without its lists.
type head struct {
	Version    int                    `json:"version"`
	Cluster    string                 `json:"cluster"`
	Origin     string                 `json:"origin"`
	Algorithm  string                 `json:"algorithm"`
	Recipients recipients             `json:"recipients"`
	Anchors    map[string]plan.Anchor `json:"anchors"`
}

// encode writes the index. The same index gives the same bytes.
func (x *index) encode(w io.Writer) error {
	data, err := json.MarshalIndent(head{x.Version, x.Cluster, x.Origin, x.Algorithm, x.Recipients, x.Anchors}, "", "  ")
	if err != nil {
		return err
	}
	b := bytes.NewBuffer(bytes.TrimSuffix(data, []byte("\n}")))
	for _, list := range []struct {
		name    string
		entries []entry
	}{{"authorities", x.Authorities}, {"entries", x.Entries}} {
		fmt.Fprintf(b, ",\n  %q: [", list.name)
		for i, e := range list.entries {
			line, err := json.Marshal(e)
			if err != nil {
				return err
			}
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString("\n    ")
			b.Write(line)
		}
		b.WriteString("\n  ]")
	}
	b.WriteString("\n}\n")
	_, err = w.Write(b.Bytes())
	return err
}

// decodeIndex reads and checks an index: whatever passes is safe to follow.
func decodeIndex(data []byte) (*index, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, err
	}
	if version.Version != formatVersion {
		return nil, &versionError{version.Version}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	x := new(index)
	if err := dec.Decode(x); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows its end")
	}
	return x, x.check()
}

// versionError is an index that another imgforge wrote.
type versionError struct{ found int }

func (e *versionError) Error() string {
	return fmt.Sprintf("its format is version %d and this imgforge knows version %d: use the imgforge that wrote it", e.found, formatVersion)
}

func (x *index) check() error {
	if x.Cluster == "" || x.Origin == "" {
		return errors.New("the cluster is missing")
	}
	if _, err := parseAlgorithm(x.Algorithm); err != nil {
		return err
	}
	if _, err := parseRecipients(x.Recipients.Authorities); err != nil {
		return fmt.Errorf("recipients.authorities: %w", err)
	}
	if _, err := parseRecipients(x.Recipients.Leaves); err != nil {
		return fmt.Errorf("recipients.leaves: %w", err)
	}
	for _, list := range [][]entry{x.Authorities, x.Entries} {
		for i, e := range list {
			if err := e.check(); err != nil {
				return err
			}
			if i > 0 && list[i-1].ID >= e.ID {
				return fmt.Errorf("%s is out of order or listed twice", e.ID)
			}
		}
	}
	for _, a := range authorityNames() {
		if e := x.authority(a[0]); e == nil || e.Kind != kindAuthority {
			return fmt.Errorf("the authority %s is missing", a[0])
		}
	}
	return nil
}

// Names are lower case, for file systems that do not tell cases apart.
var (
	folderName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	stemName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // no dot: a generation follows one
)

// layout lists the folders that stem uses.
func layout() []string { return []string{"authorities", "cluster", "nodes", "operators", "secrets"} }

func (x *index) authority(name string) *entry { return find(x.Authorities, name) }
func (x *index) entry(id string) *entry       { return find(x.Entries, id) }

func find(list []entry, id string) *entry {
	i, ok := slices.BinarySearchFunc(list, id, func(e entry, id string) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return nil
	}
	return &list[i]
}

// clone is deep enough to be changed without the original noticing.
func (x *index) clone() *index {
	c := *x
	c.Anchors = map[string]plan.Anchor{}
	for role, a := range x.Anchors {
		c.Anchors[role] = a
	}
	c.Authorities = slices.Clone(x.Authorities)
	c.Entries = slices.Clone(x.Entries)
	return &c
}

// put adds entries or replaces those of the same ID.
func (x *index) put(entries ...entry) {
	var added []entry
	for _, e := range entries {
		if old := x.entry(e.ID); old != nil {
			*old = e
			continue
		}
		added = append(added, e)
	}
	x.Entries = append(x.Entries, added...)
	slices.SortFunc(x.Entries, func(a, b entry) int { return cmp.Compare(a.ID, b.ID) })
}

// all lists authorities and entries.
func (x *index) all() []entry { return slices.Concat(x.Authorities, x.Entries) }

// files is the set of paths that the index names, itself included.
func (x *index) files() map[string]bool {
	out := map[string]bool{indexName: true}
	for _, e := range x.all() {
		for _, p := range e.paths() {
			out[p] = true
		}
	}
	return out
}

func fingerprint(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
