package payload

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/coreos/ignition/v2/config/v3_5/types"
	"gopkg.in/yaml.v3"
)

// style is how contents are spelled in Butane.
type style int

const (
	// readable contents are block text: what people read, and what butane
	// compresses file by file.
	readable style = iota
	// escaped contents are percent-encoded, also where base64 is shorter: text
	// stays text, so that the whole config compresses far better.
	escaped
)

// The structs below are the part of Butane that documents need, in the order
// in which people read it.
type butaneConfig struct {
	Variant         string         `yaml:"variant"`
	Version         string         `yaml:"version"`
	Ignition        *butaneHead    `yaml:"ignition,omitempty"`
	Storage         *butaneStorage `yaml:"storage,omitempty"`
	Systemd         *butaneSystemd `yaml:"systemd,omitempty"`
	KernelArguments *butaneKernel  `yaml:"kernel_arguments,omitempty"`
}

type butaneHead struct {
	Config butaneRefs   `yaml:"config,omitempty"`
	Proxy  *butaneProxy `yaml:"proxy,omitempty"`
}

type butaneProxy struct {
	HTTP  string   `yaml:"http_proxy,omitempty"`
	HTTPS string   `yaml:"https_proxy,omitempty"`
	No    []string `yaml:"no_proxy,omitempty"`
}

type butaneRefs struct {
	Merge   []butaneResource `yaml:"merge,omitempty"`
	Replace *butaneResource  `yaml:"replace,omitempty"`
}

type butaneStorage struct {
	Disks       []butaneDisk       `yaml:"disks,omitempty"`
	Filesystems []butaneFilesystem `yaml:"filesystems,omitempty"`
	Directories []butaneDirectory  `yaml:"directories,omitempty"`
	Files       []butaneFile       `yaml:"files,omitempty"`
	Links       []butaneLink       `yaml:"links,omitempty"`
}

type butaneDisk struct {
	Device     string            `yaml:"device"`
	WipeTable  bool              `yaml:"wipe_table,omitempty"`
	Partitions []butanePartition `yaml:"partitions,omitempty"`
}

type butanePartition struct {
	Number  int    `yaml:"number,omitempty"`
	Label   string `yaml:"label,omitempty"`
	SizeMiB int    `yaml:"size_mib"`
}

type butaneFilesystem struct {
	Device        string `yaml:"device"`
	Format        string `yaml:"format"`
	Label         string `yaml:"label,omitempty"`
	Path          string `yaml:"path,omitempty"`
	WithMountUnit bool   `yaml:"with_mount_unit,omitempty"`
}

type butaneDirectory struct {
	Path  string       `yaml:"path"`
	Mode  octal        `yaml:"mode"`
	User  *butaneOwner `yaml:"user,omitempty"`
	Group *butaneOwner `yaml:"group,omitempty"`
}

type butaneFile struct {
	Path      string         `yaml:"path"`
	Mode      octal          `yaml:"mode"`
	User      *butaneOwner   `yaml:"user,omitempty"`
	Group     *butaneOwner   `yaml:"group,omitempty"`
	Overwrite bool           `yaml:"overwrite"`
	Contents  butaneResource `yaml:"contents"`
}

type butaneResource struct {
	Inline       *text         `yaml:"inline,omitempty"`
	Source       string        `yaml:"source,omitempty"`
	Compression  string        `yaml:"compression,omitempty"`
	Verification *verification `yaml:"verification,omitempty"`
}

type verification struct {
	Hash string `yaml:"hash"`
}

type butaneLink struct {
	Path      string `yaml:"path"`
	Overwrite bool   `yaml:"overwrite"`
	Target    string `yaml:"target"`
}

type butaneSystemd struct {
	Units []butaneUnit `yaml:"units"`
}

type butaneUnit struct {
	Name     string         `yaml:"name"`
	Enabled  *bool          `yaml:"enabled,omitempty"`
	Mask     bool           `yaml:"mask,omitempty"`
	Contents *text          `yaml:"contents,omitempty"`
	Dropins  []butaneDropin `yaml:"dropins,omitempty"`
}

type butaneDropin struct {
	Name     string `yaml:"name"`
	Contents text   `yaml:"contents"`
}

type butaneKernel struct {
	ShouldExist []string `yaml:"should_exist"`
}

type butaneOwner struct {
	ID   *int   `yaml:"id,omitempty"`
	Name string `yaml:"name,omitempty"`
}

// octal is a mode as people write it.
type octal uint32

// MarshalYAML keeps the leading zero, without which the number would be decimal.
func (m octal) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: fmt.Sprintf("%#o", uint32(m))}, nil
}

// text is a string shown as a block where YAML can carry it that way unchanged.
type text string

// MarshalYAML quotes what a block would lose: leading space, which a block
// takes for indentation, and anything that is not printable.
func (t text) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: string(t), Style: yaml.DoubleQuotedStyle}
	if strings.HasSuffix(string(t), "\n") && blockSafe(string(t)) {
		n.Style = yaml.LiteralStyle
	}
	return n, nil
}

func blockSafe(s string) bool {
	if s == "" || s[0] == ' ' || s[0] == '\n' {
		return false
	}
	for _, r := range s {
		if r < ' ' && r != '\n' || r > '~' {
			return false
		}
	}
	return true
}

// butaneYAML is the document as Butane, without the user's snippets.
func butaneYAML(doc *Document, files []placed, as style) ([]byte, error) {
	return encodeYAML(butaneOf(doc, files, as))
}

// readableButane is the document as Butane with the user's snippets as configs
// that Ignition merges on the node.
func readableButane(doc *Document, files []placed, snippets []snippet, version string) ([]byte, error) {
	files = slices.Clone(files)
	var refs butaneRefs
	for _, s := range snippets {
		if s.root == nil {
			continue
		}
		raw, err := s.childJSON(version)
		if err != nil {
			return nil, err
		}
		child := text(raw)
		refs.Merge = append(refs.Merge, butaneResource{Inline: &child})
		for i, f := range files {
			// A hash that a child's contents would inherit must go.
			if slices.ContainsFunc(s.config.Storage.Files, func(c types.File) bool { return c.Path == f.Path }) {
				files[i].source, files[i].hash = "", ""
			}
		}
	}
	c := butaneOf(doc, files, readable)
	if len(refs.Merge) > 0 {
		if c.Ignition == nil {
			c.Ignition = &butaneHead{}
		}
		c.Ignition.Config = refs
	}
	return encodeYAML(c)
}

func butaneOf(doc *Document, files []placed, as style) butaneConfig {
	c := butaneConfig{Variant: doc.Variant, Version: doc.Version}
	if p := doc.Proxy; p != nil {
		c.Ignition = &butaneHead{Proxy: &butaneProxy{p.HTTP, p.HTTPS, p.No}}
	}
	if s := butaneStorageOf(doc, files, as); len(s.Disks)+len(s.Filesystems)+len(s.Directories)+len(s.Files)+len(s.Links) > 0 {
		c.Storage = s
	}
	if len(doc.Units) > 0 {
		c.Systemd = &butaneSystemd{Units: butaneUnits(doc.Units)}
	}
	if len(doc.KernelArgs) > 0 {
		c.KernelArguments = &butaneKernel{ShouldExist: doc.KernelArgs}
	}
	return c
}

func encodeYAML(v any) ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	err := e.Close()
	return b.Bytes(), err
}

func butaneStorageOf(doc *Document, files []placed, as style) *butaneStorage {
	s := &butaneStorage{}
	for _, d := range doc.Disks {
		out := butaneDisk{Device: d.Device, WipeTable: d.WipeTable}
		for _, p := range d.Partitions {
			out.Partitions = append(out.Partitions, butanePartition{Number: p.Number, Label: p.Label, SizeMiB: p.SizeMiB})
		}
		s.Disks = append(s.Disks, out)
	}
	for _, f := range doc.Filesystems {
		s.Filesystems = append(s.Filesystems, butaneFilesystem{f.Device, f.Format, f.Label, f.Path, f.MountUnit})
	}
	for _, d := range doc.Directories {
		s.Directories = append(s.Directories, butaneDirectory{d.Path, orMode(d.Mode, 0o755), owner(d.User), owner(d.Group)})
	}
	for _, f := range files {
		s.Files = append(s.Files, butaneFile{
			Path: f.Path, Mode: orMode(f.Mode, 0o644), User: owner(f.User), Group: owner(f.Group),
			Overwrite: true, Contents: butaneContents(f, as),
		})
	}
	for _, l := range doc.Links {
		s.Links = append(s.Links, butaneLink{Path: l.Path, Overwrite: true, Target: l.Target})
	}
	return s
}

func butaneContents(f placed, as style) butaneResource {
	switch {
	case f.source != "":
		return butaneResource{Source: f.source, Verification: &verification{Hash: f.hash}}
	case !utf8.Valid(f.Contents):
		return butaneResource{Source: "data:;base64," + base64.StdEncoding.EncodeToString(f.Contents)}
	case as == escaped && len(f.Contents) > 0:
		return butaneResource{Source: dataURL(f.Contents)}
	}
	t := text(f.Contents)
	return butaneResource{Inline: &t}
}

func butaneUnits(units []Unit) []butaneUnit {
	out := make([]butaneUnit, 0, len(units))
	for _, u := range units {
		b := butaneUnit{Name: u.Name, Enabled: u.Enabled, Mask: u.Mask}
		if u.Contents != "" {
			t := text(u.Contents)
			b.Contents = &t
		}
		for _, d := range u.Dropins {
			b.Dropins = append(b.Dropins, butaneDropin{d.Name, text(d.Contents)})
		}
		out = append(out, b)
	}
	return out
}

func orMode(m, zero uint32) octal {
	if m == 0 {
		return octal(zero)
	}
	return octal(m)
}

// owner is nil for root, which is everybody's default.
func owner(name string) *butaneOwner {
	if name == "" || name == "root" || name == "0" {
		return nil
	}
	if id, err := strconv.Atoi(name); err == nil {
		return &butaneOwner{ID: &id}
	}
	return &butaneOwner{Name: name}
}
