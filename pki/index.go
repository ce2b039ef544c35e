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
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

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

// entry is one secret and its public half.
type entry struct {
	ID   string `json:"id"`
	Kind string `json:"kind"`
	Role string `json:"role,omitempty"`
	Node string `json:"node,omitempty"`
	// Generation counts from 1 and is part of the file names from 2 on, so that
	// a new generation never overwrites the one that the index still names.
	Generation int `json:"generation"`
	// Public is the SHA-256 of the public file; empty for what has none. There
	// is no hash of anything sealed.
	Public string `json:"public,omitempty"`
	// Sealed is the size of the sealed file in bytes: what is cut short is
	// noticed without an identity.
	Sealed int64 `json:"sealed"`
	// Unused tells that the plan last issued for no longer has this entry. It is
	// kept, for a plan that has it again, and left out of the latest boot date.
	Unused bool `json:"unused,omitempty"`
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

func (e *entry) check() error {
	if err := checkID(e.ID, e.Kind); err != nil {
		return err
	}
	if e.Generation < 1 || e.Sealed < 1 {
		return fmt.Errorf("%s has no generation or no size", e.ID)
	}
	if e.hasCertificate() && e.Public == "" {
		return fmt.Errorf("%s has no certificate", e.ID)
	}
	return nil
}

// Names are lower case, for file systems that do not tell cases apart.
var (
	folderName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)
	stemName   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`) // no dot: a generation follows one
)

// checkID refuses whatever could not be a file name on every system, and names
// of nodes that would collide with the store's own words.
func checkID(id, kind string) error {
	parts := strings.Split(id, "/")
	var ok bool
	switch {
	case kind == kindAuthority:
		ok = len(parts) == 1
	case kind == kindUser:
		ok = len(parts) == 2 && parts[0] == "user"
	case len(parts) == 3:
		ok = parts[0] == "operator" && folderName.MatchString(parts[1])
	case len(parts) == 2:
		ok = parts[0] != "user" && parts[0] != "operator" && folderName.MatchString(parts[0])
	default:
		ok = len(parts) == 1
	}
	if !ok || !stemName.MatchString(parts[len(parts)-1]) {
		return fmt.Errorf("%q cannot be kept in a store: names are of a-z, 0-9 and -, and no node is called user or operator", id)
	}
	return nil
}

// stem is the path of an entry's files without generation and extension.
func (e *entry) stem() string {
	parts := strings.Split(e.ID, "/")
	switch {
	case e.Kind == kindAuthority:
		return path.Join("authorities", e.ID)
	case parts[0] == "user":
		return path.Join("secrets", parts[1])
	case len(parts) == 3:
		return path.Join("operators", parts[1], parts[2])
	case len(parts) == 2 && parts[0] != "cluster":
		return path.Join("nodes", parts[0], parts[1])
	}
	return path.Join("cluster", parts[len(parts)-1])
}

// layout lists the folders that stem uses.
func layout() []string { return []string{"authorities", "cluster", "nodes", "operators", "secrets"} }

func (e *entry) generationStem() string {
	if e.Generation > 1 {
		return e.stem() + "." + strconv.Itoa(e.Generation)
	}
	return e.stem()
}

func (e *entry) hasCertificate() bool { return e.Kind == kindAuthority || e.Kind == kindCertificate }

// guarded tells that the private part is for those who issue alone. Nodes carry
// the key of the kubelet-signer, so whoever builds must be able to open it.
func (e *entry) guarded() bool { return e.Kind == kindAuthority && e.ID != KubeletSigner }

// publicPath is relative to the store and slash-separated; empty when there is
// no public half.
func (e *entry) publicPath() string {
	switch {
	case e.hasCertificate():
		return e.generationStem() + ".crt"
	case e.Public != "":
		return e.generationStem() + ".pub"
	}
	return ""
}

func (e *entry) sealedPath() string {
	if e.Public != "" {
		return e.generationStem() + ".key.age"
	}
	return e.generationStem() + ".age"
}

// paths are the entry's files.
func (e *entry) paths() []string {
	if p := e.publicPath(); p != "" {
		return []string{p, e.sealedPath()}
	}
	return []string{e.sealedPath()}
}

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
