package bake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/gpt"
)

// Kind is a family of images that have their parts in the same places.
type Kind string

// The kinds.
const (
	FCOS     Kind = "fcos"     // Fedora CoreOS, the metal image
	Flatcar  Kind = "flatcar"  // Flatcar Container Linux, any platform's image
	Debian   Kind = "debian"   // Debian's generic cloud image, and others with cloud-init
	Imgforge Kind = "imgforge" // the base of `imgforge base`
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{FCOS, Flatcar, Debian, Imgforge} }

// PayloadLabel is that of the partition, and of its file system, that carries what
// a node needs beside its config.
const PayloadLabel = "imgforge"

// partition is one that an image of a kind must have. It is found by its label,
// else by its type, and never by its place.
type partition struct {
	label string
	types []string // GUIDs; none for any
	fs    []string // file systems, of which it must hold one
	// name is the file system's label; "" for any.
	name string
}

// layout is what is known of a kind.
type layout struct {
	partitions []partition
	config     partition // that the config goes into; none when it gets its own
	drive      string    // the label of the config's own partition
	root       partition // which grows on first boot, and must end the disk
}

// Types of partitions (UEFI, the discoverable partitions specification, and
// Flatcar's own).
const (
	typeLinux    = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
	typeESP      = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeBoot     = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
	typeRootX86  = "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
	typeRootARM  = "B921B045-1DF0-41C3-AF44-4C6F280D3FAE"
	typeFlatcar  = "5DFBF5F4-2848-4BAC-AA5E-0D9A20B745A6"
	typeFlatcarR = "3884DD41-8582-4404-B9A8-E9B84F2DF50E"
)

func layoutOf(k Kind) (layout, error) {
	roots := []string{typeRootX86, typeRootARM, typeLinux}
	switch k {
	case FCOS:
		boot := partition{"boot", []string{typeBoot, typeLinux}, []string{"ext4"}, "boot"}
		root := partition{"root", roots, []string{"xfs"}, "root"}
		return layout{partitions: []partition{{"EFI-SYSTEM", []string{typeESP}, []string{"vfat"}, ""}, boot, root}, config: boot, root: root}, nil
	case Flatcar:
		oem := partition{"OEM", []string{typeLinux}, []string{"btrfs", "ext4"}, "OEM"}
		root := partition{"ROOT", []string{typeFlatcarR}, []string{"ext4"}, "ROOT"}
		return layout{partitions: []partition{{"EFI-SYSTEM", []string{typeESP}, []string{"vfat"}, ""},
			{"USR-A", []string{typeFlatcar}, nil, ""}, {"USR-B", []string{typeFlatcar}, nil, ""}, oem, root}, config: oem, root: root}, nil
	case Debian:
		root := partition{types: roots, fs: []string{"ext4"}}
		return layout{partitions: []partition{root}, drive: images.CIDataLabel, root: root}, nil
	case Imgforge:
		root := partition{"ROOT", roots, []string{"ext4"}, "ROOT"}
		return layout{partitions: []partition{root}, drive: images.ConfigDriveLabel, root: root}, nil
	}
	return layout{}, fmt.Errorf("there is no kind of image %q: use one of %q", k, Kinds())
}

// find looks a partition up in a table.
func (p partition) find(t *gpt.Table) (gpt.Entry, error) {
	var types []gpt.GUID
	for _, text := range p.types {
		g, err := gpt.ParseGUID(text)
		if err != nil {
			return gpt.Entry{}, err
		}
		types = append(types, g)
	}
	if p.label == "" {
		return t.Typed(types...)
	}
	e, err := t.Labelled(p.label)
	if err != nil {
		return e, err
	}
	if !slices.Contains(types, e.Type) {
		return e, fmt.Errorf("partition %d %q has type %s, not %s", e.Number, e.Label, e.Type, strings.Join(p.types, " or "))
	}
	return e, nil
}
