package payload

import (
	"cmp"
	"slices"
	"strings"

	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// mkfsFlags are, per format, the flags for force, label and UUID that
// Ignition's engine passes.
func mkfsFlags(format string) (force, label, uuid string, known bool) {
	switch format {
	case "ext4":
		return "-F", "-L", "-U", true
	case "xfs":
		return "-f", "-L", "-m", true
	case "btrfs":
		return "--force", "-L", "-U", true
	case "vfat":
		return "", "-n", "-i", true
	case "swap":
		return "-f", "-L", "-U", true
	}
	return "", "", "", false
}

func mkfsKnown(format string) bool {
	_, _, _, known := mkfsFlags(format)
	return known || format == "" || format == "none"
}

// disksFunction formats a device that holds nothing, keeps one that holds what
// was asked for, and touches no other: the rule of Ignition's engine.
const disksFunction = `format() { # device type label uuid wipe, then the command
  device=$1 type=$2 label=$3 uuid=$4 wipe=$5
  shift 5
  udevadm settle || true
  found=$(blkid -p -s TYPE -s PTTYPE -o value "$device") || [ $? -eq 2 ]
  if [ -z "$wipe" ] && [ -n "$found" ]; then
    [ "$found" = "$type" ] &&
      { [ -z "$label" ] || [ "$(blkid -p -s LABEL -o value "$device")" = "$label" ]; } &&
      { [ -z "$uuid" ] || [ "$(blkid -p -s UUID -o value "$device" | tr A-Z a-z | tr -d -)" = "$uuid" ]; } && return 0
    echo "imgforge: $device holds $found data of another kind and is left alone" >&2
    return 1
  fi
  wipefs -a "$device"
  "$@" "$device"
  udevadm settle || true
}
`

// disksScript makes and mounts filesystems before write_files, which is when
// Ignition does it: what is written below a mount point lands on the disk.
// cloud-init's own fs_setup would come after.
func disksScript(filesystems []types.Filesystem) string {
	var b strings.Builder
	for _, f := range filesystems {
		if format := value(f.Format); format != "" && format != "none" {
			b.WriteString(formatLine(f))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	mounts := slices.Clone(filesystems)
	slices.SortStableFunc(mounts, func(a, b types.Filesystem) int {
		return cmp.Compare(strings.Count(value(a.Path), "/"), strings.Count(value(b.Path), "/"))
	})
	for _, f := range mounts {
		if format := value(f.Format); value(f.Path) != "" && format != "" && format != "none" && format != "swap" {
			b.WriteString(mountLines(f))
		}
	}
	return disksFunction + b.String()
}

func formatLine(f types.Filesystem) string {
	format := value(f.Format)
	force, label, uuid, _ := mkfsFlags(format)
	id := strings.ToLower(value(f.UUID))
	command := []string{"mkfs." + format}
	if format == "swap" {
		command = []string{"mkswap"}
	}
	for _, o := range f.Options {
		command = append(command, string(o))
	}
	if force != "" {
		command = append(command, force)
	}
	if id != "" {
		command = append(command, uuid, uuidArgument(format, id))
	}
	if l := value(f.Label); l != "" {
		command = append(command, label, l)
	}
	wipe := ""
	if value(f.WipeFilesystem) {
		wipe = "wipe"
	}
	return "format " + quoteAll(append([]string{f.Device, format, value(f.Label), strings.ReplaceAll(id, "-", ""), wipe}, command...)) + "\n"
}

// uuidArgument spells a UUID for mkfs: xfs wants a key, vfat no dash.
func uuidArgument(format, id string) string {
	switch format {
	case "xfs":
		return "uuid=" + id
	case "vfat":
		return strings.Replace(id, "-", "", 1)
	}
	return id
}

func mountLines(f types.Filesystem) string {
	path := quote(value(f.Path))
	options := make([]string, len(f.MountOptions))
	for i, o := range f.MountOptions {
		options[i] = string(o)
	}
	mount := []string{"mount", "-t", value(f.Format)}
	if len(options) > 0 {
		mount = append(mount, "-o", strings.Join(options, ","))
	}
	return "mkdir -p " + path + "\nmountpoint -q " + path + " || " + quoteAll(append(mount, f.Device, value(f.Path))) + "\n"
}
