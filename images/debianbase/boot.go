package debianbase

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const sector = 512

// Places in GRUB's first sector and in the first sector of its core, where the
// program that usually installs it writes (GRUB 2.06, boot.S and diskboot.S).
const (
	bootCoreAt   = 0x5c  // 8 bytes: the sector of the core
	bootDriveJmp = 0x66  // 2 bytes: without it a BIOS that names no drive is believed
	listStart    = 0x1f4 // 8 bytes: the sector that the core goes on at
	listLength   = 0x1fc // 2 bytes: sectors
	bootSize     = 440
)

// biosCode is what a BIOS runs from the first sector of the disk, and the core that
// this loads, for a core that begins at a sector.
func biosCode(boot, core []byte, at uint64) (first, rest []byte, err error) {
	if len(boot) != sector || len(core) < 2*sector {
		return nil, nil, fmt.Errorf("GRUB's boot sector of %d bytes and core of %d are not what is known of it", len(boot), len(core))
	}
	le := binary.LittleEndian
	first = append([]byte(nil), boot[:bootSize]...)
	le.PutUint64(first[bootCoreAt:], at)
	first[bootDriveJmp], first[bootDriveJmp+1] = 0x90, 0x90
	rest = make([]byte, (len(core)+sector-1)/sector*sector)
	copy(rest, core)
	le.PutUint64(rest[listStart:], at+1)
	le.PutUint16(rest[listLength:], uint16(len(rest)/sector-1))
	return first, rest, nil
}

// grubConfig boots the one system there is. While the file is there that the initrd
// takes away at the end of a first boot, Ignition is asked for.
func grubConfig(j Job, usr string) string {
	arguments := append([]string{"root=LABEL=ROOT", "rootfstype=ext4", "rw", "mount.usr=PARTUUID=" + strings.ToLower(usr), "mount.usrfstype=squashfs", "mount.usrflags=ro",
		"console=tty0", "console=ttyS0,115200n8", "ignition.platform.id=" + j.Platform}, j.Arguments...)
	return `serial --unit=0 --speed=115200
terminal_output console serial
terminal_input console serial
set first=
if [ -e ($root)/imgforge/first ]; then
	set first="ignition.firstboot"
fi
echo "imgforge: booting"
linux ($root)/vmlinuz ` + strings.Join(arguments, " ") + ` $first
initrd ($root)/initrd
boot
`
}

// Platforms are those whose config Ignition gets without a network, as the initrd of
// the base has none. A config on a drive labelled config-2 goes before each.
func Platforms() []string { return []string{"metal", "openstack", "qemu", "virtualbox", "vmware"} }

// all reads a part of the system into memory.
func (p *parts) all(name string) ([]byte, error) {
	r := p.boot[name]
	if r == nil {
		return nil, fmt.Errorf("the installed system has no /boot/%s", name)
	}
	data := make([]byte, r.Size())
	if n, err := r.ReadAt(data, 0); n < len(data) {
		return nil, errors.Join(err, io.ErrUnexpectedEOF)
	}
	return data, nil
}
