package pki

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

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
