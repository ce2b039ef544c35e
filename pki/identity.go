package pki

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
)

// Identities are the two private keys of a store. Either may be absent: what
// needs it then fails and says where it is looked for.
type Identities struct {
	// Leaf opens what nodes carry; CI holds it.
	Leaf Identity
	// Authority opens the authorities; only people who issue certificates hold it.
	Authority Identity
}

// Identity is one or more age identities that play one part. The zero value
// opens nothing.
type Identity struct {
	keys []age.Identity
	from string // variable or file it was read from; "" when absent
	file string // the user's own file, where it would be looked for last
}

// The parts that identities play, as people read them.
const (
	roleLeaf      = "leaf"
	roleAuthority = "authority"
)

// variable names the environment variable with an identity's text; with _FILE
// after it, the one with the name of a file.
func variable(role string) string {
	if role == roleAuthority {
		return "IMGFORGE_AUTHORITY_IDENTITY"
	}
	return "IMGFORGE_IDENTITY"
}

// Present tells whether there is anything to open with.
func (i Identity) Present() bool { return len(i.keys) > 0 }

// From is the variable or the file that it was read from; "" when absent.
func (i Identity) From() string { return i.from }

// absent is the error of needing an identity that is not there.
func (i Identity) absent(role string) error {
	hint := ""
	if i.file != "" {
		hint = ", or put it at " + i.file
	}
	return fmt.Errorf("there is no %s identity: set %s to its text or %s_FILE to a file%s", role, variable(role), variable(role), hint)
}

// recipients are the public halves.
func (i Identity) recipients() ([]string, error) {
	var out []string
	for _, k := range i.keys {
		switch k := k.(type) {
		case *age.X25519Identity:
			out = append(out, k.Recipient().String())
		case *age.HybridIdentity:
			out = append(out, k.Recipient().String())
		default:
			return nil, fmt.Errorf("identity of %s: only age's own kinds can be used", i.from)
		}
	}
	return out, nil
}

// parseRecipients reads age public keys.
func parseRecipients(texts []string) ([]age.Recipient, error) {
	if len(texts) == 0 {
		return nil, errors.New("there is none")
	}
	out, err := age.ParseRecipients(strings.NewReader(strings.Join(texts, "\n")))
	if err != nil {
		return nil, errors.New("one of them is not an age recipient")
	}
	return out, nil
}

// NewIdentity reads an identity from text: lines that begin with
// AGE-SECRET-KEY-, and comments. Its errors never hold the text.
func NewIdentity(text string) (Identity, error) {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	keys, err := age.ParseIdentities(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		return Identity{}, errors.New("it holds no age identity: a line that begins with AGE-SECRET-KEY-1 is needed")
	}
	return Identity{keys: keys, from: "its text"}, nil
}

// Locations say where identities are looked for, in this order: a variable with
// the text, a variable with the name of a file, a file of the user's own.
type Locations struct {
	// Getenv reads IMGFORGE_IDENTITY, IMGFORGE_IDENTITY_FILE,
	// IMGFORGE_AUTHORITY_IDENTITY and IMGFORGE_AUTHORITY_IDENTITY_FILE.
	Getenv func(string) string
	// ConfigDir is the user's configuration folder (os.UserConfigDir); "" when
	// there is none. The files are imgforge/<cluster>/{leaf,authority}.agekey.
	ConfigDir string
	Cluster   string
}

// Load reads the identities that are there. A missing one is no error yet; one
// that is named and cannot be used is.
func (l Locations) Load() (Identities, error) {
	leaf, err := l.load(roleLeaf)
	if err != nil {
		return Identities{}, err
	}
	authority, err := l.load(roleAuthority)
	if err != nil {
		return Identities{}, err
	}
	return Identities{Leaf: leaf, Authority: authority}, nil
}

// Create is Load, and makes in the user's own folder the identities that are
// nowhere. It never replaces one. It returns the files it made.
func (l Locations) Create() (Identities, []string, error) {
	ids, err := l.Load()
	if err != nil {
		return Identities{}, nil, err
	}
	var made []string
	for _, part := range []struct {
		role string
		id   Identity
	}{{roleLeaf, ids.Leaf}, {roleAuthority, ids.Authority}} {
		if part.id.Present() {
			continue
		}
		path := l.path(part.role)
		if path == "" {
			return Identities{}, made, fmt.Errorf("make %s identity: this user has no configuration folder: %w", part.role, part.id.absent(part.role))
		}
		if err := createIdentity(path, part.role, l.Cluster); err != nil {
			return Identities{}, made, fmt.Errorf("make %s identity: %w", part.role, err)
		}
		made = append(made, path)
	}
	ids, err = l.Load()
	return ids, made, err
}

// path is the user's own file; "" without a configuration folder.
func (l Locations) path(role string) string {
	if l.ConfigDir == "" || l.Cluster == "" {
		return ""
	}
	return filepath.Join(l.ConfigDir, "imgforge", l.Cluster, role+".agekey")
}

func (l Locations) load(role string) (id Identity, err error) {
	name, own := variable(role), l.path(role)
	text, file := l.Getenv(name), l.Getenv(name+"_FILE")
	switch {
	case text != "" && file != "":
		return Identity{}, fmt.Errorf("%s and %s_FILE are both set: unset one of them", name, name)
	case text != "":
		if id, err = NewIdentity(text); err != nil {
			err = fmt.Errorf("%w; the name of a file goes into %s_FILE", err, name)
		}
		id.from = name
	case file != "":
		name += "_FILE"
		id, err = readIdentity(file)
	case own != "":
		name = role + " identity"
		id, err = readIdentity(own)
		if errors.Is(err, fs.ErrNotExist) {
			return Identity{file: own}, nil
		}
	default:
		return Identity{}, nil
	}
	if err != nil {
		return Identity{}, fmt.Errorf("%s: %w", name, err)
	}
	id.file = own
	return id, nil
}

// separate checks that the two identities share no key: whoever builds would
// otherwise hold the authorities too.
func (ids Identities) separate() (recipients, error) {
	leaf, err := ids.Leaf.recipients()
	if err != nil {
		return recipients{}, err
	}
	authority, err := ids.Authority.recipients()
	if err != nil {
		return recipients{}, err
	}
	for _, r := range leaf {
		if slices.Contains(authority, r) {
			return recipients{}, errors.New("the leaf and the authority identity are the same: use two, or CI would hold the authorities too")
		}
	}
	return recipients{Authorities: authority, Leaves: leaf}, nil
}

// NewIdentities makes a pair for a store that is thrown away, as a built
// example's is. Nothing but the returned value holds it.
func NewIdentities() (Identities, error) {
	var ids Identities
	for _, id := range []*Identity{&ids.Leaf, &ids.Authority} {
		key, err := age.GenerateX25519Identity()
		if err != nil {
			return Identities{}, fmt.Errorf("make identity: %w", err)
		}
		*id = Identity{keys: []age.Identity{key}, from: "this run"}
	}
	return ids, nil
}
