package artifact

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The two parts of an output folder and the two files that describe each.
const (
	Public = "public" // may be served and published: folders 0755, files 0644
	Secret = "secret" // holds keys: folders 0700, files 0600

	ManifestName  = "manifest.json"
	ChecksumsName = "SHA256SUMS"
	// SignatureName is a plain Ed25519 signature over the manifest, 64 bytes. A folder
	// need not have one.
	SignatureName = "manifest.json.sig"

	manifestSchema = "imgforge/manifest/v1"
)

// parts is the order in which the parts are written and verified.
func parts() []string { return []string{Public, Secret} }

// partModes are the exact permission bits inside a part.
func partModes(part string) (dir, file fs.FileMode) {
	if part == Secret {
		return 0o700, 0o600
	}
	return 0o755, 0o644
}

// Manifest lists one part of an output folder. Each part has its own, because
// the hash of a secret file would let anyone test guesses of what is in it. It
// holds no time and no host: the same build gives the same manifest.
type Manifest struct {
	Schema  string `json:"schema"`
	Part    string `json:"part"` // public | secret
	Cluster string `json:"cluster"`
	// LatestBoot is the last instant (RFC 3339, UTC) at which the artifacts can boot.
	LatestBoot string `json:"latestBoot,omitempty"`
	// Throwaway marks a folder whose keys died with the run that made it.
	Throwaway bool    `json:"throwaway,omitempty"`
	Files     []Entry `json:"files"`
}

// Entry is one file of a manifest.
type Entry struct {
	Item
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
}

// Item says what a file of an output folder is.
type Item struct {
	// Path is relative to the part, slash-separated.
	Path string `json:"path"`
	// Kind is payload, drive, plan, image and so on.
	Kind string `json:"kind"`
	// Node or Role is whose it is; both are empty for the whole cluster.
	Node string `json:"node,omitempty"`
	Role string `json:"role,omitempty"`
	// Format is ignition, cloud-init, butane, iso9660, json and so on.
	Format string `json:"format,omitempty"`
	// Disk says what a disk image was made of.
	Disk *Disk `json:"disk,omitempty"`
	// Secret puts the file into the secret part.
	Secret bool `json:"-"`
}

// Disk is what a disk image holds, however the file is packed.
type Disk struct {
	// SHA256 and Size are those of the disk itself, as raw has it.
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"` // bytes
	// Sealed tells that each node's keys are encrypted to its claim line.
	Sealed bool `json:"sealed"`
	// Base is the digest of the operating system's image, sha256:HEX or sha512:HEX.
	Base string `json:"base"`
	// Lock is the SHA-256 of the lock that pins all else; Sysext and Bundle are those of
	// the files of the public part that are inside.
	Lock   string `json:"lock"`
	Sysext string `json:"sysext"`
	Bundle string `json:"bundle"`
}

func (i Item) part() string {
	if i.Secret {
		return Secret
	}
	return Public
}

// encode writes the manifest with its files sorted by path.
func (m Manifest) encode(w io.Writer) error {
	slices.SortFunc(m.Files, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
	if m.Files == nil {
		m.Files = []Entry{}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(m)
}

// checksums is the part in the form of sha256sum, the manifest included.
func (m Manifest) checksums(manifestSum string) []byte {
	lines := make([]string, 0, len(m.Files)+1)
	for _, f := range m.Files {
		lines = append(lines, f.Path+"\x00"+f.SHA256)
	}
	lines = append(lines, ManifestName+"\x00"+manifestSum)
	slices.Sort(lines)
	var b bytes.Buffer
	for _, l := range lines {
		path, sum, _ := strings.Cut(l, "\x00")
		fmt.Fprintf(&b, "%s  %s\n", sum, path)
	}
	return b.Bytes()
}

// ReadManifest reads the manifest of one part ([Public] or [Secret]) of an output folder.
func ReadManifest(dir, part string) (Manifest, error) {
	name := filepath.Join(dir, part, ManifestName)
	data, err := os.ReadFile(name)
	if err != nil {
		return Manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	return ParseManifest(data, name, part)
}

// ParseManifest is [ReadManifest] of a file that was read; its name is for errors.
func ParseManifest(data []byte, name, part string) (Manifest, error) {
	var m Manifest
	if err := strictJSON(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("read manifest %s: %w", name, err)
	}
	if m.Schema != manifestSchema {
		return Manifest{}, fmt.Errorf("read manifest %s: its schema is %q, not %q: it is from another version of imgforge, or not from imgforge", name, m.Schema, manifestSchema)
	}
	if m.Part != part {
		return Manifest{}, fmt.Errorf("read manifest %s: it describes the part %q", name, m.Part)
	}
	for _, f := range m.Files {
		if err := checkItemPath(f.Path); err != nil {
			return Manifest{}, fmt.Errorf("read manifest %s: %w", name, err)
		}
	}
	return m, nil
}

// checkItemPath refuses what would leave the part, hide in it, or need escaping
// in SHA256SUMS.
func checkItemPath(path string) error {
	switch {
	case !fs.ValidPath(path) || path == ".":
		return fmt.Errorf("path %q must be relative and clean", path)
	case strings.ContainsFunc(path, isControl) || strings.Contains(path, `\`):
		return fmt.Errorf("path %q holds a control character or a backslash", path)
	case path == ManifestName || path == ChecksumsName || path == SignatureName:
		return fmt.Errorf("path %q is made by the folder itself", path)
	}
	return nil
}

// foreign names the first file or folder of dir that no manifest of imgforge
// accounts for, and whether dir is empty or absent. An error means dir cannot be
// read or its manifest is not one of imgforge's.
func foreign(dir string) (name string, empty bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", true, nil
	}
	if err != nil {
		return "", false, err
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() != Public && e.Name() != Secret {
			return e.Name(), false, nil
		}
	}
	for _, part := range parts() {
		if part == Secret {
			if rest, err := os.ReadDir(filepath.Join(dir, part)); errors.Is(err, fs.ErrNotExist) || err == nil && len(rest) == 0 {
				continue // taken away by its owner, who may do so
			}
		}
		m, err := ReadManifest(dir, part)
		if err != nil {
			return "", false, err
		}
		extra, err := unlisted(dir, part, m)
		if err != nil {
			return "", false, err
		}
		if len(extra) > 0 {
			return filepath.Join(part, extra[0]), false, nil
		}
	}
	return "", false, nil
}

// unlisted are the paths in a part that its manifest does not know, sorted.
// Folders count only when nothing listed is in them.
func unlisted(dir, part string, m Manifest) ([]string, error) {
	known := map[string]bool{".": true, ManifestName: true, ChecksumsName: true, SignatureName: true}
	folder := map[string]bool{".": true}
	for _, f := range m.Files {
		known[f.Path] = true
		for d := filepath.Dir(f.Path); d != "."; d = filepath.Dir(d) {
			folder[d] = true
		}
	}
	var extra []string
	root := filepath.Join(dir, part)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() && !folder[rel] || !d.IsDir() && (!known[rel] || !d.Type().IsRegular()) {
			extra = append(extra, rel)
		}
		return nil
	})
	slices.Sort(extra)
	return extra, err
}
