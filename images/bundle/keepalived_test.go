package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/internal/testtool"
)

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(testtool.Path(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// packed is a Debian package that dpkg-deb makes of files of this machine.
func packed(t testing.TB, name string, files ...string) *deb.Package {
	t.Helper()
	dir := t.TempDir()
	place := func(at string, data []byte) {
		to := filepath.Join(dir, at)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	place("DEBIAN/control", fmt.Appendf(nil, "Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: test\n", name))
	place("usr/share/doc/"+name+"/copyright", []byte("free\n"))
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		place(f, data)
	}
	out := filepath.Join(t.TempDir(), name+".deb")
	run(t, "dpkg-deb", "--build", "--root-owner-group", "-Znone", dir, out)
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	p, err := deb.Open(bytes.NewReader(data), int64(len(data)), hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// packages are keepalived and what this machine's loader finds for it.
func packages(t testing.TB) []*deb.Package {
	t.Helper()
	keepalived := testtool.Path(t, "keepalived")
	var libraries []string
	for word := range strings.FieldsSeq(run(t, "ldd", keepalived)) {
		if strings.HasPrefix(word, "/") && !strings.HasPrefix(word, "/lib64/") {
			libraries = append(libraries, word)
		}
	}
	machine := filepath.Dir(libraries[0])
	loaders, err := filepath.Glob(machine + "/ld-linux*")
	if err != nil || len(loaders) != 1 {
		t.Fatalf("the loaders are %q (%v)", loaders, err)
	}
	return []*deb.Package{packed(t, "keepalived", keepalived), packed(t, "libraries", append(libraries, loaders...)...)}
}

// unlayer has tar, which wants the end of an archive too, place an image's only layer into a folder.
func unlayer(t testing.TB, image v1.Image, dir string) {
	t.Helper()
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v)", len(layers), err)
	}
	plain, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", "-x", "--no-same-owner", "-C", dir)
	cmd.Stdin = plain
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
}

// anInterface is one of this machine that is no loopback.
func anInterface(t testing.TB) string {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagMulticast != 0 {
			return i.Name
		}
	}
	testtool.Skip(t, "a network interface is needed")
	return ""
}

const scripted = `global_defs {
    enable_script_security
    script_user root
}
vrrp_script endpoint {
    script "/usr/bin/imgforge-node check endpoint"
    interval 1
}
vrrp_instance a {
    interface INTERFACE
    virtual_router_id 51
    priority 100
    state BACKUP
    virtual_ipaddress {
        10.9.9.9/32
    }
    track_script {
        endpoint
    }
    notify "/usr/bin/imgforge-node notify"
}
`

func TestKeepalived(t *testing.T) {
	all := packages(t)
	image, err := Keepalived("amd64", all, []byte("#!/usr/sbin/keepalived\n"), time.Unix(1700000000, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("runs in its image", func(t *testing.T) { keepalivedRuns(t, image) })
	t.Run("is reproducible", func(t *testing.T) { keepalivedIsReproducible(t, all) })
	t.Run("is closed", func(t *testing.T) { keepalivedIsClosed(t, image) })
}

// keepalived runs in its image, finds the users of its scripts, and judges
// configurations there.
func keepalivedRuns(t *testing.T, image v1.Image) {
	testtool.Root(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlayer(t, image, dir)
	check := func(text string) (string, error) {
		if err := os.WriteFile(filepath.Join(dir, "k.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(testtool.Path(t, "chroot"), dir, "keepalived", "--vrrp", "--config-test", "--use-file", "/k.conf").CombinedOutput()
		return string(out), err
	}
	scripted := strings.Replace(scripted, "INTERFACE", anInterface(t), 1)
	if out, err := check(scripted); err != nil || strings.Contains(out, "script") {
		t.Errorf("a right configuration: %v\n%s", err, out)
	}
	if out, err := check(strings.Replace(scripted, "virtual_router_id 51", "virtual_router_id 999", 1)); err == nil {
		t.Errorf("a wrong configuration is taken:\n%s", out)
	}
	// The check fails for this reason, and not for one of the machine.
	if err := os.Remove(filepath.Join(dir, "etc/passwd")); err != nil {
		t.Fatal(err)
	}
	if out, err := check(scripted); err == nil && !strings.Contains(out, "script") {
		t.Errorf("without users keepalived has nothing to say:\n%s", out)
	}
}

func keepalivedIsReproducible(t *testing.T, all []*deb.Package) {
	all = slices.Clone(all)
	make := func() string {
		image, err := Keepalived("amd64", all, []byte("helper"), time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := Write(t.Context(), &b, "amd64", []Image{{"imgforge/keepalived:2.2.7", digestOf(t, image), Made(image)}}); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(b.Bytes()))
	}
	want := make()
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Chdir(t.TempDir())
	slices.Reverse(all)
	if got := make(); got != want {
		t.Errorf("the second image is another: %s, not %s", got, want)
	}
}

// What is in the image is owned by root and written by nobody else: keepalived takes
// no other scripts.
func keepalivedIsClosed(t *testing.T, image v1.Image) {
	config, err := image.ConfigFile()
	if err != nil || config.Architecture != "amd64" || config.OS != "linux" || fmt.Sprint(config.Config.Entrypoint) != "[keepalived]" {
		t.Errorf("the configuration is %+v (%v)", config, err)
	}
	dir := t.TempDir()
	unlayer(t, image, dir)
	found := map[string]bool{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if info, e := d.Info(); e == nil && info.Mode().Type() != fs.ModeSymlink && info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s can be written by others: %v", path, info.Mode())
		}
		found[strings.TrimPrefix(path, dir)] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/usr/bin/imgforge-node", "/usr/sbin/keepalived", "/etc/passwd", "/etc/group", "/run", "/usr/share/doc/keepalived/copyright"} {
		if !found[path] {
			t.Errorf("the image has no %s", path)
		}
	}
	for _, path := range []string{"/bin/sh", "/usr/bin/sh"} {
		if found[path] {
			t.Errorf("the image has %s", path)
		}
	}
	if _, err := Keepalived("amd64", nil, nil, time.Time{}); err == nil || !strings.Contains(err.Error(), "take keepalived out of Debian packages: no package has it") {
		t.Errorf("without packages: %v", err)
	}
}
