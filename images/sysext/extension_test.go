package sysext

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// shipped is what the systems have themselves.
func shipped(family string) Shipped {
	switch family {
	case "flatcar":
		return Shipped{Containerd: true, Conntrack: true, Ethtool: true, Nft: true, WireGuard: true}
	case "fcos":
		return Shipped{Nft: true, WireGuard: true, Conntrack: true, Ethtool: true}
	}
	return Shipped{}
}

// extension is one of each family with programs that say who they are.
func extension(t testing.TB, family string) Extension {
	t.Helper()
	e := Extension{Family: family, Arch: "amd64", Shipped: shipped(family), Time: 1700000000}
	for _, p := range Programs(e.Shipped) {
		e.Files = append(e.Files, Bytes(p.Path, 0o755, []byte("I am "+p.Name+"\n")))
	}
	return e
}

func image(t testing.TB, e Extension) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "imgforge.raw")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := Write(f, e); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testtool.Path(t, name), args...)
	cmd.Env = append(os.Environ(), "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// What each family gets is a promise to its nodes.
func TestContents(t *testing.T) {
	for _, family := range []string{"debian", "fcos", "flatcar"} {
		path := image(t, extension(t, family))
		got := run(t, "unsquashfs", "-lls", "-d", "", path)
		got = got[strings.Index(got, "drwx"):]
		for _, name := range []string{"extension-release.d/extension-release.imgforge", "systemd/system/imgforge-images.service", "systemd/system/kubelet.service.d/10-imgforge-images.conf"} {
			got += "\n--- usr/lib/" + name + "\n" + run(t, "unsquashfs", "-cat", path, "usr/lib/"+name)
		}
		golden := filepath.Join("testdata", family+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s: the extension holds\n%s\n(%v), want\n%s", family, got, err, want)
		}
	}
}

func TestUnitsAreUnits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"imgforge-images.service"} {
		data, err := units.ReadFile("units/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, _ := exec.Command(testtool.Path(t, "systemd-analyze"), "verify", "--recursive-errors=no", "--man=no", filepath.Join(dir, "imgforge-images.service")).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		// The program and containerd's unit are not on this machine.
		if strings.Contains(line, "imgforge-images.service") && !strings.Contains(line, "not executable") && !strings.Contains(line, "containerd.service") {
			t.Error(line)
		}
	}
}

// Labels are in the image where a policy wants them, and nowhere else.
func TestLabels(t *testing.T) {
	testtool.Root(t) // to set them when unpacking
	for family, want := range map[string]map[string]string{
		"fcos": {"usr": "usr_t", "usr/bin": "bin_t", "usr/bin/kubelet": "bin_t", "usr/bin/runc": "container_runtime_exec_t", "usr/lib": "lib_t", CNIFolder + "/bridge": "bin_t",
			"usr/lib/systemd/system/imgforge-images.service": "systemd_unit_file_t"},
		"flatcar": {"usr/bin/tincd": "bin_t", "usr/lib/systemd/system": "systemd_unit_t"},
		"debian":  {"usr": "", "usr/bin/kubelet": ""},
	} {
		dir := filepath.Join(t.TempDir(), "out")
		run(t, "unsquashfs", "-no-progress", "-d", dir, image(t, extension(t, family)))
		for path, kind := range want {
			value := make([]byte, 100)
			n, err := syscall.Getxattr(filepath.Join(dir, path), "security.selinux", value)
			got := string(value[:max(n, 0)])
			if kind == "" && err == nil || kind != "" && got != "system_u:object_r:"+kind+":s0\x00" {
				t.Errorf("%s: %s has the label %q (%v), want %q", family, path, got, err, kind)
			}
		}
	}
}

// Not the order of files, nor anything of the machine, is in the bytes.
func TestSameInputSameBytes(t *testing.T) {
	sum := func(e Extension) string {
		data, err := os.ReadFile(image(t, e))
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", sha256.Sum256(data))
	}
	want := sum(extension(t, "flatcar"))
	t.Setenv("TZ", "Pacific/Kiritimati")
	t.Setenv("SOURCE_DATE_EPOCH", "12345")
	t.Chdir(t.TempDir())
	defer syscall.Umask(syscall.Umask(0o077))
	e := extension(t, "flatcar")
	rand.Shuffle(len(e.Files), func(i, j int) { e.Files[i], e.Files[j] = e.Files[j], e.Files[i] })
	if got := sum(e); got != want {
		t.Errorf("the second image is another: %s, not %s", got, want)
	}
}

func TestRefuses(t *testing.T) {
	change := func(family string, f func(*Extension)) Extension {
		e := extension(t, family)
		f(&e)
		return e
	}
	with := func(file File) Extension {
		return change("flatcar", func(e *Extension) { e.Files = append(e.Files, file) })
	}
	wrong := Bytes("usr/bin/more", 0o755, []byte("a"))
	wrong.SHA256 = hex.EncodeToString(make([]byte, 32))
	none := Bytes("usr/bin/more", 0o755, nil)
	none.SHA256 = ""
	for want, e := range map[string]Extension{
		`"opt/cni/bin/bridge" cannot be`:          with(Bytes("opt/cni/bin/bridge", 0o755, nil)),
		`"usr/sbin/nft" cannot be`:                with(Bytes("usr/sbin/nft", 0o755, nil)),
		`"etc/passwd" cannot be`:                  with(Bytes("etc/passwd", 0o644, nil)),
		`must be relative and clean`:              with(Bytes("usr/bin/../../etc/passwd", 0o644, nil)),
		`file "usr/bin/more": its SHA-256 is ca9`: with(wrong),
		`"usr/bin/more" has no SHA-256`:           with(none),
		`"usr/bin/kubelet" is there twice`:        with(Bytes("usr/bin/kubelet", 0o755, nil)),
		`has the mode u`:                          with(Bytes("usr/bin/su", os.ModeSetuid|0o755, nil)),
		`it lacks usr/bin/ethtool`:                change("debian", func(e *Extension) { e.Files = without(e.Files, "usr/bin/ethtool") }),
		`the family "arch": it is one of`:         change("flatcar", func(e *Extension) { e.Family = "arch" }),
		`the architecture "riscv64"`:              change("flatcar", func(e *Extension) { e.Arch = "riscv64" }),
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(f, e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
		f.Close()
	}
}

func without(files []File, path string) (out []File) {
	for _, f := range files {
		if f.Path != path {
			out = append(out, f)
		}
	}
	return out
}

// packed makes a Debian package of files of this machine with dpkg-deb.
func packed(t testing.TB, name string, files ...string) *deb.Package {
	t.Helper()
	dir := t.TempDir()
	for _, f := range append(files, "") {
		to, data := filepath.Join(dir, f), []byte(nil)
		if f == "" {
			to, data = filepath.Join(dir, "DEBIAN/control"), fmt.Appendf(nil, "Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: test\n", name)
		} else {
			var err error
			if data, err = os.ReadFile(f); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), name+".deb")
	run(t, "dpkg-deb", "--build", "--root-owner-group", "-Zgzip", dir, out)
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

// libraries are those that the machine's own loader finds for a program, loader included.
func libraries(t testing.TB, program string) (out []string) {
	t.Helper()
	for line := range strings.Lines(run(t, "ldd", program)) {
		for _, word := range strings.Fields(line) {
			if strings.HasPrefix(word, "/") {
				out = append(out, word)
			}
		}
	}
	return out
}

// A program of Debian comes with the loader and every library that it needs, and the
// loader finds them nowhere else.
func TestProgramsBringTheirLibraries(t *testing.T) {
	tincd := testtool.Path(t, "tincd")
	libs := libraries(t, tincd)
	files, err := FromPackages("amd64", []*deb.Package{packed(t, "tinc", tincd), packed(t, "libs", libs...)}, []string{"tincd"})
	if err != nil {
		t.Fatal(err)
	}
	e := extension(t, "flatcar")
	e.Files = append(without(e.Files, "usr/bin/tincd"), files...)
	dir := filepath.Join(t.TempDir(), "out")
	run(t, "unsquashfs", "-no-progress", "-no-xattrs", "-d", dir, image(t, e))
	script, err := os.ReadFile(filepath.Join(dir, "usr/bin/tincd"))
	if err != nil {
		t.Fatal(err)
	}
	// The script as it is, but that the image's root is not the machine's.
	moved := filepath.Join(t.TempDir(), "tincd")
	text := strings.ReplaceAll(string(script), "/usr/lib/imgforge", dir+"/usr/lib/imgforge")
	if err := os.WriteFile(moved, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "sh", moved, "--version"); !strings.HasPrefix(got, "tinc version 1.0") {
		t.Errorf("tincd says %q", got)
	}
	lib := filepath.Join(dir, loaderFolder)
	found, err := filepath.Glob(lib + "/ld-linux*")
	if err != nil || len(found) != 1 {
		t.Fatalf("the loaders are %q (%v)", found, err)
	}
	list := run(t, found[0], "--inhibit-cache", "--library-path", lib, "--list", filepath.Join(dir, programFolder, "tincd"))
	for line := range strings.Lines(list) {
		if !strings.Contains(line, dir) && !strings.Contains(line, "linux-vdso") {
			t.Errorf("a library comes from elsewhere: %s", line)
		}
	}
	_, err = FromPackages("amd64", []*deb.Package{packed(t, "tinc", tincd), packed(t, "libs", libs[1:]...)}, []string{"tincd"})
	if err == nil || !strings.Contains(err.Error(), "it needs "+filepath.Base(libs[0])+", which no package has") {
		t.Errorf("without %s the error is %v", libs[0], err)
	}
	if _, err := FromPackages("arm64", []*deb.Package{packed(t, "tinc", tincd)}, []string{"tincd"}); err == nil || !strings.Contains(err.Error(), "tinc 1 amd64 is for amd64, not for arm64") {
		t.Errorf("of another architecture: %v", err)
	}
	if _, err := FromPackages("amd64", nil, []string{"nft"}); err == nil || !strings.Contains(err.Error(), "take nft out of Debian packages: no package has it") {
		t.Errorf("without a package the error is %v", err)
	}
}
