package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/images/cache"
)

const header = `# What this cluster is made of, written by imgforge lock: commit it beside the cluster file.
# imgforge lock --check says whether the two belong together, imgforge lock --upgrade moves
# one thing, and imgforge fetch downloads all of it and checks every byte against this file.
`

// Encode is the text of the file.
func (l *Lock) Encode() ([]byte, error) {
	l.sort()
	var out bytes.Buffer
	out.WriteString(header)
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(l); err != nil {
		return nil, fmt.Errorf("write the lock: %w", err)
	}
	err := enc.Close() // before the bytes are taken
	return out.Bytes(), err
}

// Located is a lock and where its entries stand.
type Located struct {
	*Lock
	lines map[string]int
}

// Decode reads the file strictly: unknown keys, hashes and URLs that are none,
// names that come twice and another version of the format are errors.
func Decode(data []byte) (*Located, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return nil, err
	}
	if root.Kind == 0 {
		return nil, errors.New("it is empty")
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	l := &Located{Lock: new(Lock), lines: map[string]int{}}
	if err := dec.Decode(l.Lock); err != nil {
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it holds more than one document")
	}
	l.find("", &root)
	if l.Schema != Schema {
		return nil, fmt.Errorf("line %d: schema %q is not %s: it was written by another imgforge", l.Line("schema"), l.Schema, Schema)
	}
	return l, l.validate()
}

// Line is where a path stands, or what holds it: programs.kubelet, images.NAME,
// debian.packages.tinc, base.
func (l *Located) Line(path string) int { return max(l.lines[path], 1) }

func (l *Located) find(path string, n *yaml.Node) {
	join := func(name string) string {
		if path == "" {
			return name
		}
		return path + "." + name
	}
	switch n.Kind {
	case yaml.DocumentNode:
		l.find(path, n.Content[0])
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			at := join(n.Content[i].Value)
			l.lines[at] = n.Content[i].Line
			l.find(at, n.Content[i+1])
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if name := nameOf(item); name != "" {
				l.lines[join(name)] = item.Line
				l.find(join(name), item)
			}
		}
	}
}

func nameOf(n *yaml.Node) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			return n.Content[i+1].Value
		}
	}
	return ""
}

// validate judges every entry by itself.
func (l *Located) validate() error {
	var errs []error
	bad := func(path string, err error) {
		errs = append(errs, fmt.Errorf("line %d: %s: %w", l.Line(path), path, err))
	}
	for path, f := range l.entries() {
		if err := f.check(); err != nil {
			bad(path, err)
		}
	}
	seen := map[string]bool{}
	for _, path := range l.paths() {
		if seen[path] {
			bad(path, errors.New("it is there twice"))
		}
		seen[path] = true
	}
	for _, i := range l.Images {
		if err := i.check(); err != nil {
			bad("images."+i.Name, err)
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return bytes.Compare([]byte(a.Error()), []byte(b.Error())) })
	return errors.Join(errs...)
}

// entries are all files by path.
func (l *Lock) entries() map[string]File {
	out := map[string]File{}
	if l.Base != nil {
		out["base"] = l.Base.File
		if l.Base.Signature != nil {
			out["base.signature"] = l.Base.Signature.File
		}
		for _, p := range l.Base.Packages {
			out["base.packages."+p.Name] = p.File
		}
	}
	for _, p := range l.Programs {
		out["programs."+p.Name] = p.File
	}
	if l.Debian != nil {
		for _, p := range l.Debian.Packages {
			out["debian.packages."+p.Name] = p.File
		}
	}
	return out
}

func (l *Lock) paths() []string {
	var out []string
	if l.Base != nil {
		for _, p := range l.Base.Packages {
			out = append(out, "base.packages."+p.Name)
		}
	}
	for _, p := range l.Programs {
		out = append(out, "programs."+p.Name)
	}
	if l.Debian != nil {
		for _, p := range l.Debian.Packages {
			out = append(out, "debian.packages."+p.Name)
		}
	}
	for _, i := range l.Images {
		out = append(out, "images."+i.Name)
	}
	return out
}

func (f File) check() error {
	if u, err := url.Parse(f.URL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("%q is no URL of a file", f.URL)
	}
	if f.Size < 0 {
		return fmt.Errorf("%d is no size", f.Size)
	}
	_, err := cache.ParseDigest(string(f.Digest))
	return err
}

func (i Image) check() error {
	if i.Made {
		if i.Manifest != "" || i.Index != "" {
			return errors.New("what imgforge makes has no digest before it is made")
		}
		return nil
	}
	for _, d := range []cache.Digest{i.Manifest, i.Index} {
		if d == "" && i.Manifest != "" {
			continue
		}
		if _, err := cache.ParseDigest(string(d)); err != nil {
			return err
		}
	}
	return nil
}
