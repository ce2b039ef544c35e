package payload

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Files decodes a payload of any format into the files that it leaves on a
// node, nested configs, units and the preset's sources included, so that others
// can search them. The files of a slot in the clear follow it, with the slot's
// path before their own. What a payload only refers to has no contents.
func Files(payload []byte) ([]artifact.File, error) {
	payload, err := unpack(payload)
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	var files []artifact.File
	if bytes.HasPrefix(payload, []byte(cloudHeader)) {
		files, err = cloudFiles(payload)
	} else {
		files, err = ignitionFiles(payload)
	}
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	return withSlots(files), nil
}

func ignitionFiles(payload []byte) ([]artifact.File, error) {
	c, err := anyConfig(payload)
	if err != nil {
		return nil, err
	}
	var files []artifact.File
	for _, f := range c.Storage.Files {
		out := artifact.File{Path: f.Path, Mode: permissions(f.Mode, 0o644)}
		who := ownerOf(f.Node)
		out.User, out.Group = who.user, who.group
		for _, r := range append([]types.Resource{f.Contents}, f.Append...) {
			contents, err := decodeResource(r)
			if err != nil && !errors.Is(err, errRemote) {
				return nil, fmt.Errorf("file %s: %w", f.Path, err)
			}
			out.Contents = append(out.Contents, contents...)
		}
		files = append(files, out)
	}
	for _, u := range c.Systemd.Units {
		path := unitDir + "/" + u.Name
		if value(u.Contents) != "" {
			files = append(files, artifact.File{Path: path, Mode: 0o644, Contents: []byte(*u.Contents)})
		}
		for _, d := range u.Dropins {
			files = append(files, artifact.File{Path: path + ".d/" + d.Name, Mode: 0o644, Contents: []byte(value(d.Contents))})
		}
	}
	return files, nil
}

// anyConfig reads Ignition JSON, or Butane.
func anyConfig(payload []byte) (types.Config, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
		raw, found := translate(payload, true)
		if len(found) > 0 {
			return types.Config{}, fmt.Errorf("neither Ignition, cloud-config nor Butane: line %d: %s", found[0].line, found[0].message)
		}
		payload = raw
	}
	return expand(payload)
}

func cloudFiles(payload []byte) ([]artifact.File, error) {
	var c struct {
		WriteFiles []writeFile `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(payload, &c); err != nil {
		return nil, err
	}
	files := make([]artifact.File, 0, len(c.WriteFiles))
	for _, w := range c.WriteFiles {
		contents, err := w.decode()
		if err != nil {
			return nil, fmt.Errorf("file %s: %w", w.Path, err)
		}
		mode, err := strconv.ParseUint(w.Permissions, 8, 32)
		if err != nil {
			return nil, fmt.Errorf("file %s: permissions %q are not octal", w.Path, w.Permissions)
		}
		user, group, _ := strings.Cut(w.Owner, ":")
		files = append(files, artifact.File{Path: w.Path, Mode: uint32(mode), User: notRoot(user), Group: notRoot(group), Contents: contents})
	}
	return files, nil
}

func (w writeFile) decode() ([]byte, error) {
	switch w.Encoding {
	case "":
		return []byte(w.Content), nil
	case "b64":
		return base64.StdEncoding.DecodeString(string(w.Content))
	case "gz+b64":
		packed, err := base64.StdEncoding.DecodeString(string(w.Content))
		if err != nil {
			return nil, err
		}
		return gunzip(packed)
	}
	return nil, fmt.Errorf("unknown encoding %q", w.Encoding)
}

func notRoot(name string) string {
	if name == "root" {
		return ""
	}
	return name
}

func withSlots(files []artifact.File) []artifact.File {
	out := slices.Clone(files)
	for _, f := range files {
		if !strings.HasPrefix(f.Path, SlotDir+"/") {
			continue
		}
		// A sealed slot stays one opaque file.
		slot, err := artifact.DecodeSlot(f.Contents)
		if err != nil {
			continue
		}
		for _, inner := range slot.Files {
			inner.Path = f.Path + inner.Path
			out = append(out, inner)
		}
	}
	return out
}
