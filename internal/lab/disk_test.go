package lab

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/fat"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What the lab adds is a config that Ignition's own judge takes as it is, and each unit
// is there once.
func TestMachineIgnition(t *testing.T) {
	config, err := machineIgnition()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "lab.ign")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testtool.Path(t, "ignition-validate"), path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	var said struct {
		Storage struct {
			Links []struct{ Path, Target string }
		}
		Systemd struct{ Units []ignitionUnit }
	}
	if err := json.Unmarshal(config, &said); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range said.Systemd.Units {
		names = append(names, u.Name)
	}
	if want := []string{"lab-agent.service", "run-lab.mount", "systemd-sysext.service", "var-lib-containerd.mount"}; !slices.Equal(names, want) {
		t.Errorf("the units are %q, want %q", names, want)
	}
	for _, link := range said.Storage.Links {
		if !strings.HasPrefix(link.Target, "/run/lab/") {
			t.Errorf("%s leads to %s, which is not on the lab's disk", link.Path, link.Target)
		}
	}
}

// The initrd stays as it is, and what stands behind it is an archive that others read.
func TestConfigBehindTheInitrd(t *testing.T) {
	initrd := bytes.Repeat([]byte("i"), 1001)
	out := withConfig(initrd, []byte("the config"))
	behind, begins := bytes.CutPrefix(out, initrd)
	const gap = 1024 - 1001 // to the next multiple of 512
	if !begins || !bytes.Equal(behind[:gap], make([]byte, gap)) {
		t.Fatalf("the initrd is changed, or something stands right behind it: %q", behind)
	}
	dir := t.TempDir()
	cmd := exec.Command(testtool.Path(t, "cpio"), "--extract", "--make-directories", "--quiet")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(behind[gap:])
	if said, err := cmd.CombinedOutput(); err != nil || len(said) > 0 {
		t.Errorf("cpio: %v: %s", err, said)
	}
	got, err := os.ReadFile(filepath.Join(dir, machineConfig))
	if err != nil || string(got) != "the config" {
		t.Errorf("the archive holds %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(dir, "usr/lib/ignition"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the folder above: %v, %v", info, err)
	}
}

// What a boot loader would load is loaded: by the names that its config has.
func TestLoadedByTheBootLoader(t *testing.T) {
	esp := func(config string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), "esp"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		file := func(path, text string) fat.File {
			return fat.File{Path: path, Size: int64(len(text)), Data: strings.NewReader(text)}
		}
		v := fat.Volume{Size: 256 << 20, Label: "EFI-SYSTEM", Time: treeTime, Files: []fat.File{file("grub/grub.cfg", config), file("vmlinuz", "a kernel"), file("initrd", "an initrd")}}
		if err := f.Truncate(v.Size); err != nil {
			t.Fatal(err)
		}
		if err := fat.Write(f, v); err != nil {
			t.Fatal(err)
		}
		return f
	}
	got, err := loadedBy(esp("set first=\nlinux ($root)/vmlinuz root=LABEL=ROOT rw $first\ninitrd ($root)/initrd\nboot\n"))
	if err != nil || string(got.kernel) != "a kernel" || string(got.initrd) != "an initrd" || !slices.Equal(got.arguments, []string{"root=LABEL=ROOT", "rw"}) {
		t.Errorf("%q, %v", got, err)
	}
	for says, config := range map[string]string{"no kernel or no initrd": "boot\n", "another": "linux ($root)/another\ninitrd ($root)/initrd\n"} {
		if _, err := loadedBy(esp(config)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

// A folder of an earlier version, or with other images, is refused in words.
func TestOpenSystemRefuses(t *testing.T) {
	for says, text := range map[string]string{
		"was made by another version": `{"release":"bookworm","images":["a"]}`,
		"lack a:":                     `{"release":"bookworm","arguments":["rw"],"images":["b"]}`,
		"vmlinuz: no such file":       `{"release":"bookworm","arguments":["rw"],"images":["a"]}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, systemFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (&Lab{}).openSystem(t.Context(), dir, []string{"a"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
