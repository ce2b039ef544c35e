package profiles

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// fragment is the part of Butane that the templates use. Anything else in a
// template is an error: a typo must never mean that a file is missing on a node.
type fragment struct {
	Storage struct {
		Files       []fragmentFile      `yaml:"files"`
		Directories []fragmentDirectory `yaml:"directories"`
		Links       []fragmentLink      `yaml:"links"`
	} `yaml:"storage"`
	Systemd struct {
		Units []fragmentUnit `yaml:"units"`
	} `yaml:"systemd"`
}

type fragmentName struct {
	Name string `yaml:"name"`
}

type fragmentFile struct {
	Path     string       `yaml:"path"`
	Mode     uint32       `yaml:"mode"`
	User     fragmentName `yaml:"user"`
	Group    fragmentName `yaml:"group"`
	Contents struct {
		Inline *string `yaml:"inline"`
	} `yaml:"contents"`
}

type fragmentDirectory struct {
	Path  string       `yaml:"path"`
	Mode  uint32       `yaml:"mode"`
	User  fragmentName `yaml:"user"`
	Group fragmentName `yaml:"group"`
}

type fragmentLink struct {
	Path   string `yaml:"path"`
	Target string `yaml:"target"`
}

type fragmentUnit struct {
	Name     string `yaml:"name"`
	Enabled  *bool  `yaml:"enabled"`
	Mask     bool   `yaml:"mask"`
	Contents string `yaml:"contents"`
	Dropins  []struct {
		Name     string `yaml:"name"`
		Contents string `yaml:"contents"`
	} `yaml:"dropins"`
}

// addButane renders profiles/<name>.bu.tmpl and adds what it declares to doc.
func addButane(doc *payload.Document, name string, data any) error {
	text, err := render(name+".bu", data)
	if err != nil {
		return err
	}
	f, err := decodeFragment(text)
	if err != nil {
		return fmt.Errorf("profiles/%s.bu.tmpl: %w", name, err)
	}
	for _, x := range f.Storage.Files {
		if x.Contents.Inline == nil {
			return fmt.Errorf("profiles/%s.bu.tmpl: %s has no contents.inline", name, x.Path)
		}
		doc.Files = append(doc.Files, artifact.File{Path: x.Path, Mode: x.Mode, User: x.User.Name, Group: x.Group.Name, Contents: []byte(*x.Contents.Inline)})
	}
	for _, x := range f.Storage.Directories {
		doc.Directories = append(doc.Directories, payload.Directory{Path: x.Path, Mode: x.Mode, User: x.User.Name, Group: x.Group.Name})
	}
	for _, x := range f.Storage.Links {
		doc.Links = append(doc.Links, payload.Link{Path: x.Path, Target: x.Target})
	}
	for _, x := range f.Systemd.Units {
		u := payload.Unit{Name: x.Name, Enabled: x.Enabled, Mask: x.Mask, Contents: x.Contents}
		for _, d := range x.Dropins {
			u.Dropins = append(u.Dropins, payload.Dropin{Name: d.Name, Contents: d.Contents})
		}
		doc.Units = append(doc.Units, u)
	}
	return nil
}

func decodeFragment(text string) (fragment, error) {
	var f fragment
	dec := yaml.NewDecoder(strings.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return f, err
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return f, errors.New("more than one YAML document")
	}
	return f, nil
}
