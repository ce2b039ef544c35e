package lab

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/artifact"
)

// machineUnits are all that the lab adds to what the payload of a virtual machine
// writes, beside links.
//
//go:embed machine
var machineUnits embed.FS

// machineConfig is where Ignition looks for what goes before every payload.
const machineConfig = "usr/lib/ignition/base.d/50-lab.ign"

// extensionLinks are where a machine finds what its second disk brings: system
// extensions and bundles, as a baked node does.
func extensionLinks() map[string]string {
	return map[string]string{
		sysext.Place: "/run/lab/extensions/" + sysext.Name + ".raw",
		"/etc/extensions/" + ownExtension + ".raw": "/run/lab/extensions/" + ownExtension + ".raw",
		artifact.BundleFolder + "/images.tar":      "/run/lab/bundles/images.tar",
		artifact.BundleFolder + "/store.tar":       "/run/lab/bundles/store.tar",
	}
}

// ignitionUnit is a unit as Ignition's config has it.
type ignitionUnit struct {
	Name     string           `json:"name"`
	Enabled  bool             `json:"enabled,omitempty"`
	Contents string           `json:"contents,omitempty"`
	Dropins  []ignitionDropin `json:"dropins,omitempty"`
}

type ignitionDropin struct {
	Name     string `json:"name"`
	Contents string `json:"contents"`
}

// machineIgnition is the config that adds them. A payload that names the same goes before.
func machineIgnition() ([]byte, error) {
	var units []ignitionUnit
	err := eachMachineUnit(func(name, text string) error {
		if unit, of := strings.CutSuffix(path.Dir(name), ".d"); of {
			units = append(units, ignitionUnit{Name: unit, Dropins: []ignitionDropin{{path.Base(name), text}}})
			return nil
		}
		units = append(units, ignitionUnit{Name: name, Enabled: true, Contents: text})
		return nil
	})
	if err != nil {
		return nil, err
	}
	type link struct {
		Path   string `json:"path"`
		Target string `json:"target"`
	}
	var links []link
	for at, target := range extensionLinks() {
		links = append(links, link{at, target})
	}
	slices.SortFunc(links, func(a, b link) int { return strings.Compare(a.Path, b.Path) })
	return json.Marshal(map[string]any{"ignition": map[string]any{"version": "3.3.0"},
		"storage": map[string]any{"links": links}, "systemd": map[string]any{"units": units}})
}

// eachMachineUnit calls use with the units and drop-ins by their paths below
// /etc/systemd/system.
func eachMachineUnit(use func(name, text string) error) error {
	return fs.WalkDir(machineUnits, "machine", func(at string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := machineUnits.ReadFile(at)
		if err != nil {
			return err
		}
		return use(strings.TrimPrefix(at, "machine/"), string(data))
	})
}

// withConfig is an initrd as it is, with an archive of one file behind it: the kernel
// unpacks both (its Documentation/driver-api/early-userspace/buffer-format.rst).
func withConfig(initrd, config []byte) []byte {
	out := bytes.NewBuffer(slices.Clone(initrd))
	pad(out, 512) // zeros between archives mean nothing
	n := 0
	add := func(name string, mode fs.FileMode, kind uint32, data []byte) {
		n++
		// Magic, inode, mode, user, group, links, time, size, device and special device of
		// two numbers each, length of the name, no sum.
		fmt.Fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00", n, kind|uint32(mode), 0, 0, 1, treeTime, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad(out, 4)
		out.Write(data)
		pad(out, 4)
	}
	const folder, file = 0o040000, 0o100000
	for i, b := range machineConfig {
		if b == '/' {
			add(machineConfig[:i], 0o755, folder, nil)
		}
	}
	add(machineConfig, 0o644, file, config)
	add("TRAILER!!!", 0, 0, nil)
	pad(out, 512)
	return out.Bytes()
}

func pad(b *bytes.Buffer, to int) { b.Write(make([]byte, -b.Len()&(to-1))) }
