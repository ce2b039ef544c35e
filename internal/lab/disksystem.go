package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// systemFile lies beside the disks, and says how the base boots and what is on the lab's.
const systemFile = "system.json"

type systemContent struct {
	Release   string   `json:"release"`   // of Debian
	Arguments []string `json:"arguments"` // of the base's boot loader, for its kernel
	Images    []string `json:"images"`
}

// SystemIsThere tells whether a folder is one that virtual machines can boot from.
func SystemIsThere(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, systemFile))
	return dir != "" && err == nil
}

// describeSystem writes what a system's disks hold.
func describeSystem(dir string, arguments, refs []string) error {
	data, err := json.MarshalIndent(systemContent{Release: release, Arguments: arguments, Images: refs}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, systemFile), append(data, '\n'), 0o644)
}

// openSystem takes a folder that System made, when its disk holds the images that are wanted.
func (l *Lab) openSystem(ctx context.Context, dir string, refs []string) (System, error) {
	data, err := os.ReadFile(filepath.Join(dir, systemFile))
	if err != nil {
		return System{}, err
	}
	var has systemContent
	if err := json.Unmarshal(data, &has); err != nil {
		return System{}, fmt.Errorf("%s: %w", filepath.Join(dir, systemFile), err)
	}
	var missing []string
	for _, ref := range refs {
		if !slices.Contains(has.Images, ref) {
			missing = append(missing, ref)
		}
	}
	if len(missing) > 0 {
		return System{}, fmt.Errorf("the disks in %s lack %s: name another folder, and have root make it", dir, strings.Join(missing, ", "))
	}
	if len(has.Arguments) == 0 {
		return System{}, fmt.Errorf("%s was made by another version of imgforge, and does not boot the base: name another folder, and have root make it", dir)
	}
	made := System{Kernel: filepath.Join(dir, kernelFile), Initrd: filepath.Join(dir, initrdFile), Base: filepath.Join(dir, baseImage), Lab: filepath.Join(dir, labImage), Arguments: has.Arguments}
	for _, path := range []string{made.Kernel, made.Initrd, made.Base, made.Lab} {
		if _, statErr := os.Stat(path); statErr != nil {
			err = errors.Join(err, statErr)
		}
	}
	if err != nil {
		return System{}, err
	}
	made.KVM = l.bootsOnKVM(ctx, made)
	l.logf("virtual machines run %s", map[bool]string{true: "on KVM", false: "emulated (TCG): KVM boots no kernel here"}[made.KVM])
	return made, nil
}

// machineSystem is what machines boot from: the folder that was named, or one
// made of the same packages, programs and images as containers.
func (t *Trial) machineSystem(ctx context.Context) (System, error) {
	var refs []string
	for _, i := range imagesOf(t.Plan.Images) {
		refs = append(refs, i.ref)
	}
	if SystemIsThere(t.Config.System) {
		return t.openSystem(ctx, t.Config.System, refs)
	}
	if os.Geteuid() != 0 {
		return System{}, errors.New("making the disks of virtual machines needs root; booting them does not: have root run this once with --system DIR, then name the same folder")
	}
	t.live("making the container images")
	store, err := t.ImageStore(ctx, t.Plan.Images)
	if err != nil {
		return System{}, err
	}
	t.live("making the disks of virtual machines")
	dir, err := t.Lab.System(ctx, t.Plan, store, refs)
	if err != nil {
		return System{}, err
	}
	if keep := t.Config.System; keep != "" {
		part := keep + ".part" // a folder that was cut short is none
		if _, err := t.run(ctx, "cp", "-r", "--sparse=always", dir, part); err != nil {
			return System{}, errors.Join(fmt.Errorf("keep what virtual machines boot from: %w", err), os.RemoveAll(part))
		}
		if err := os.Rename(part, keep); err != nil {
			return System{}, err
		}
		dir = keep
	}
	return t.openSystem(ctx, dir, refs)
}
