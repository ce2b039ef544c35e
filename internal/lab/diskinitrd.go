package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// dracutConfig makes an initrd for qemu's devices alone. It is not compressed:
// unpacking costs an emulated processor more than reading.
const dracutConfig = `hostonly="no"
compress="cat"
add_dracutmodules+=" ignition "
omit_dracutmodules+=" plymouth nfs iscsi nbd multipath dmraid mdraid lvm crypt btrfs resume terminfo i18n kernel-modules-extra drm "
drivers=" virtio_blk virtio_net virtio_pci virtio_console qemu_fw_cfg ext4 isofs "
`

// dracutModule is Ignition with the units that its authors run it by in an initrd.
type dracutModule struct {
	units  string // folder of the Ignition module's source
	engine string // program
	key    string // names the content of both
}

// dracutModule finds the units in the source that the pinned engine is built from.
func (l *Lab) dracutModule(ctx context.Context) (dracutModule, error) {
	engine, err := l.Tool("ignition")
	if err != nil {
		return dracutModule{}, err
	}
	units, err := l.Tool("ignition-dracut")
	if err != nil {
		return dracutModule{}, err
	}
	sum, err := l.contentOf("ignition")
	if err != nil {
		return dracutModule{}, err
	}
	key := []string{sum}
	entries, err := os.ReadDir(units)
	if err != nil {
		return dracutModule{}, err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(units, e.Name()))
		if err != nil {
			return dracutModule{}, err
		}
		key = append(key, e.Name(), string(data))
	}
	return dracutModule{units: units, engine: engine, key: keyOf(key)}, nil
}

// withoutNetwork takes the network from what the module depends on: the lab's
// payloads and drives are there without one.
func withoutNetwork(script []byte) ([]byte, error) {
	const depends, enough = "echo qemu systemd url-lib network\n", "echo qemu systemd\n"
	if !strings.Contains(string(script), depends) {
		return nil, errors.New("this version of Ignition depends on other modules of dracut than the lab knows")
	}
	return []byte(strings.Replace(string(script), depends, enough, 1)), nil
}

// hooks have the Debian tree's own dracut make an initrd from files in stage.
func (m dracutModule) hooks(stage string) ([]string, error) {
	module := filepath.Join(stage, "30ignition")
	if err := os.MkdirAll(module, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(m.units)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(m.units, e.Name()))
		if err != nil {
			return nil, err
		}
		if e.Name() == "module-setup.sh" {
			if data, err = withoutNetwork(data); err != nil {
				return nil, err
			}
		}
		if err := os.WriteFile(filepath.Join(module, e.Name()), data, 0o755); err != nil {
			return nil, err
		}
	}
	if err := copyFile(m.engine, filepath.Join(module, "ignition")); err != nil {
		return nil, err
	}
	config := filepath.Join(stage, "imgforge.conf")
	if err := os.WriteFile(config, []byte(dracutConfig), 0o644); err != nil {
		return nil, err
	}
	return []string{
		"--customize-hook=copy-in '" + module + "' /usr/lib/dracut/modules.d",
		"--customize-hook=copy-in '" + config + "' /etc/dracut.conf.d",
		`--customize-hook=chroot "$1" dracut --force /boot/initrd "$(ls "$1/lib/modules")"`,
		`--customize-hook=cp "$1"/boot/vmlinuz-* "$1/boot/vmlinuz"`,
	}, nil
}
