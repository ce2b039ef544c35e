package bake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/ext4"
)

// Where Fedora CoreOS keeps on its boot file system what matters on first boot
// (coreos-ignition-setup-user, and what coreos-installer changes).
const (
	bootConfig  = "/ignition/config.ign"
	firstBoot   = "/ignition.firstboot"
	bootEntries = "/loader/entries"
	platforms   = "/coreos/platforms.json"
	bootLabel   = "system_u:object_r:boot_t:s0"
	metal       = "metal"
)

// coreos edits the boot file system as `coreos-installer install` does.
func (b *baking) coreos(ctx context.Context, e *ext4.Editor) error {
	there, err := e.Exists(ctx, firstBoot)
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%s is missing: the image was booted, Ignition would not run again; start from the distribution's own image", firstBoot)
	}
	if there, err = e.Exists(ctx, bootConfig); err != nil {
		return err
	}
	if there {
		return used(bootConfig)
	}
	if err := e.Write(ctx, ext4.File{Path: bootConfig, Mode: 0o600, FolderMode: 0o700, Label: bootLabel, Contents: b.Config}); err != nil {
		return err
	}
	if b.Platform == "" || b.Platform == metal {
		return nil
	}
	return setPlatform(ctx, e, b.Platform)
}

// console is what a platform's console takes.
type console struct {
	Grub   []string `json:"grub_commands"`
	Kernel []string `json:"kernel_arguments"`
}

// setPlatform changes the platform in the boot entry that is the default, and the
// consoles to those of the platform.
func setPlatform(ctx context.Context, e *ext4.Editor, platform string) error {
	if !regexp.MustCompile(`^[a-z0-9]+$`).MatchString(platform) {
		return fmt.Errorf("%q is not the name of an Ignition platform", platform)
	}
	known := map[string]console{}
	data, err := e.ReadFile(ctx, platforms)
	switch {
	case errors.Is(err, ext4.ErrNoFile): // older images have none
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(data, &known); err != nil {
			return fmt.Errorf("%s: %w", platforms, err)
		}
	}
	entry, err := defaultEntry(ctx, e)
	if err != nil {
		return err
	}
	text, err := e.ReadFile(ctx, entry)
	if err != nil {
		return err
	}
	changed, err := rewriteEntry(string(text), platform, known[metal].Kernel, known[platform].Kernel)
	if err != nil {
		return fmt.Errorf("%s: %w", entry, err)
	}
	if err := e.Replace(ctx, entry, []byte(changed)); err != nil {
		return err
	}
	if slices.Equal(known[metal].Grub, known[platform].Grub) {
		return nil
	}
	return setGrubConsole(ctx, e, known[platform].Grub)
}

// defaultEntry is the boot entry that GRUB takes: the last by name.
func defaultEntry(ctx context.Context, e *ext4.Editor) (string, error) {
	names, err := e.List(ctx, bootEntries)
	if err != nil {
		return "", err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return path.Ext(n) != ".conf" })
	if len(names) == 0 {
		return "", fmt.Errorf("there is no boot entry in %s", bootEntries)
	}
	return path.Join(bootEntries, slices.Max(names)), nil
}

// rewriteEntry changes the kernel arguments of a boot entry: the platform, and the
// consoles of metal for those of the platform.
func rewriteEntry(text, platform string, drop, add []string) (string, error) {
	lines := strings.Split(text, "\n")
	at := -1
	for i, line := range lines {
		if !strings.HasPrefix(line, "options ") {
			continue
		}
		if at >= 0 {
			return "", errors.New("it has two lines of options")
		}
		at = i
	}
	if at < 0 {
		return "", errors.New("it has no line of options")
	}
	args := strings.Fields(strings.TrimPrefix(lines[at], "options "))
	before := slices.Clone(args)
	for i, a := range args {
		if a == "ignition.platform.id="+metal {
			args[i] = "ignition.platform.id=" + platform
		}
	}
	if slices.Equal(before, args) {
		return "", errors.New("it has no ignition.platform.id=metal: take the metal image as the base")
	}
	args = slices.DeleteFunc(args, func(a string) bool { return slices.Contains(drop, a) })
	lines[at] = "options " + strings.Join(append(args, add...), " ")
	return strings.Join(lines, "\n"), nil
}

// setGrubConsole writes the commands into the marked part of GRUB's config.
func setGrubConsole(ctx context.Context, e *ext4.Editor, commands []string) error {
	file := "/grub2/console.cfg"
	text, err := e.ReadFile(ctx, file)
	if errors.Is(err, ext4.ErrNoFile) {
		file = "/grub2/grub.cfg"
		text, err = e.ReadFile(ctx, file)
	}
	if err != nil {
		return err
	}
	const start, end = "\n# CONSOLE-SETTINGS-START\n", "# CONSOLE-SETTINGS-END\n"
	before, rest, ok := strings.Cut(string(text), start)
	_, after, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return fmt.Errorf("%s: the lines that mark the console's settings are missing", file)
	}
	middle := ""
	for _, c := range commands {
		middle += c + "\n"
	}
	return e.Replace(ctx, file, []byte(before+start+middle+end+after))
}
