//go:build lab

package debianbase

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/bake"
	"github.com/imgforge/imgforge/images/squashfs"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// bound is how long an emulated machine may take to what is waited for.
const bound = 12 * time.Minute

// machine is a virtual one that boots a disk by its own boot loader.
type machine struct {
	disk, dir string
	args      []string
	boots     int
}

// newMachine boots layers over a disk, which is larger than what it was made for.
func newMachine(t *testing.T, base string, args ...string) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{disk: filepath.Join(dir, "disk.qcow2"), dir: dir, args: args}
	if out, err := exec.Command(testtool.Path(t, "qemu-img"), "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, m.disk, "8G").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	return m
}

// until boots it, cuts its power when its console says a text, and returns what that
// said. It has no network.
func (m *machine) until(t *testing.T, text string, args ...string) string {
	t.Helper()
	m.boots++
	path := filepath.Join(m.dir, "console-"+itoa(int64(m.boots)))
	console, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	all := append([]string{"-accel", "tcg,thread=multi", "-cpu", "max", "-display", "none", "-nodefaults", "-no-user-config", "-no-reboot", "-m", "1024", "-smp", "2", "-nic", "none",
		"-serial", "stdio", "-monitor", "none", "-device", "virtio-rng-pci", "-drive", "file=" + m.disk + ",if=virtio,cache=unsafe"}, m.args...)
	cmd := exec.Command(testtool.Path(t, "qemu-system-x86_64"), append(all, args...)...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	deadline := time.After(bound)
	for {
		select {
		case err := <-ended:
			t.Fatalf("the machine ended: %v\n%s", err, tail(path))
		case <-deadline:
			cmd.Process.Kill()
			<-ended
			t.Fatalf("its console does not say %q:\n%s", text, tail(path))
		case <-time.After(time.Second):
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), text) {
			cmd.Process.Kill()
			<-ended
			return strings.ReplaceAll(string(data), "\r", "")
		}
	}
}

func tail(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return lastLines(data, 40)
}

// told is a config whose node says on its console what it is, at every boot. more are
// commands for it.
func told(t *testing.T, links []map[string]any, units []map[string]any, more string) []byte {
	t.Helper()
	script := `echo boot >>/var/lib/told; sync; n=$(wc -l </var/lib/told); echo "TOLD $n name $(cat /etc/hostname)"; echo "TOLD $n usr $(findmnt -no FSTYPE,OPTIONS /usr)"
touch /usr/new || echo "TOLD $n usr is read-only"
echo "TOLD $n root $(df --output=size -BM / | tail -1)"; echo "TOLD $n id $(cat /etc/machine-id)"
echo "TOLD $n enabled $(systemctl is-enabled systemd-networkd systemd-resolved systemd-timesyncd | tr '\n' ' ')"
echo "TOLD $n failed [$(systemctl --failed --no-legend --plain | tr '\n' ' ')]"
echo "TOLD $n logins [$(awk -F: '$2 !~ /^[*!]/ {print $1}' /etc/shadow)] [$(command -v sshd)]"
` + more + `
echo "TOLD $n end"
`
	config := map[string]any{"ignition": map[string]any{"version": "3.3.0"},
		"storage": map[string]any{"links": links, "files": []map[string]any{
			{"path": "/etc/hostname", "mode": 0o644, "contents": map[string]any{"source": "data:,told"}},
			{"path": "/opt/told", "mode": 0o755, "contents": map[string]any{"source": "data:," + escaped(script)}}}},
		"systemd": map[string]any{"units": append(units, map[string]any{"name": "told.service", "enabled": true,
			"contents": "[Unit]\nAfter=systemd-sysext.service systemd-growfs@-.service\n[Service]\nType=oneshot\nStandardOutput=journal+console\nExecStart=/bin/sh /opt/told\n[Install]\nWantedBy=multi-user.target\n"})}}
	data, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func escaped(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		out.WriteString("%" + strings.ToUpper(hexOf(b)))
	}
	return out.String()
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}

func wants(t *testing.T, console string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(console, line) {
			t.Errorf("the console does not say %q", line)
		}
	}
	for line := range strings.Lines(console) {
		if strings.Contains(line, "TOLD") || strings.Contains(line, "imgforge:") {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// identity is the machine's id as it said it.
func identity(console string) string {
	_, rest, _ := strings.Cut(console, " id ")
	id, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(id)
}

// The base boots by BIOS and by UEFI with a config from qemu's firmware interface. The
// second boot has no config any more and changes nothing.
func TestBoots(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.ign")
	if err := os.WriteFile(config, told(t, nil, nil, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, firmware := range map[string][]string{"BIOS": nil, "UEFI": {"-bios", "/usr/share/ovmf/OVMF.fd"}} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, base(t), firmware...)
			first := m.until(t, "TOLD 1 end", "-fw_cfg", "name=opt/com.coreos/config,file="+config)
			wants(t, first, "imgforge: Ignition is done", "TOLD 1 name told", "TOLD 1 usr squashfs ro,", "TOLD 1 usr is read-only",
				"TOLD 1 enabled enabled enabled enabled", "TOLD 1 failed []", "TOLD 1 logins [] []")
			second := m.until(t, "TOLD 2 end")
			wants(t, second, "TOLD 2 name told", "TOLD 2 failed []")
			if strings.Contains(second, "imgforge: Ignition is done") {
				t.Error("Ignition ran at the second boot, too")
			}
			if a, b := identity(first), identity(second); a != b || len(a) != 32 {
				t.Errorf("the machine's id was %q and is %q", a, b)
			}
		})
	}
}

// A first boot whose power is cut while Ignition works begins again from nothing.
func TestFirstBootCutShort(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.ign")
	if err := os.WriteFile(config, told(t, nil, nil, ""), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, base(t), "-fw_cfg", "name=opt/com.coreos/config,file="+config)
	m.until(t, "imgforge: the root file system has its first contents")
	again := m.until(t, "TOLD 1 end")
	wants(t, again, "imgforge: the first boot was cut short: it begins again", "imgforge: Ignition is done", "TOLD 1 name told", "TOLD 1 failed []")
}

// A baked base boots with nothing but its disk: the config comes from there, and the
// system extension beside it is merged.
func TestBakedBaseBoots(t *testing.T) {
	extension := filepath.Join(t.TempDir(), "imgforge.raw")
	f, err := os.Create(extension)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := squashfs.Write(f, []squashfs.Entry{squashfs.Bytes("usr/bin/brought", 0o755, []byte("#!/bin/sh\necho it was brought\n")),
		squashfs.Bytes("usr/lib/extension-release.d/extension-release.imgforge", 0o644, []byte("ID=_any\n"))}, squashfs.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(extension)
	if err != nil {
		t.Fatal(err)
	}
	mount := map[string]any{"name": "var-brought.mount", "enabled": true,
		"contents": "[Mount]\nWhat=/dev/disk/by-partlabel/imgforge\nWhere=/var/brought\nType=iso9660\nOptions=ro\n[Install]\nWantedBy=local-fs.target\n"}
	link := map[string]any{"path": "/etc/extensions/imgforge.raw", "target": "/var/brought/imgforge.raw"}
	config := told(t, []map[string]any{link}, []map[string]any{mount}, `systemd-sysext refresh; echo "TOLD $n that $(brought)"`)
	out := filepath.Join(t.TempDir(), "baked.img")
	_, err = bake.Bake(t.Context(), bake.Job{Base: base(t), Kind: bake.Imgforge, Config: config, Instance: "told-1", Time: 1763683200,
		Files:   []images.Source{images.Bytes(artifact.File{Path: "imgforge.raw", Mode: 0o644, Contents: data})},
		Outputs: []bake.Output{{Path: out, Format: "raw", Mode: 0o600}}})
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t, out)
	first := m.until(t, "TOLD 1 end")
	wants(t, first, "imgforge: the config is the one on /dev/disk/by-partlabel/config-2", "TOLD 1 name told", "TOLD 1 failed []", "TOLD 1 that it was brought")
	wants(t, m.until(t, "TOLD 2 end"), "TOLD 2 name told", "TOLD 2 failed []", "TOLD 2 that it was brought")
}
