//go:build lab

package proof

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

const familyFile = `name: nostromo
kubernetes: {version: 1.36.3}
os: {family: %[2]s}
platform: {provider: metal}
network: {mesh: wireguard}
roles:
  master: {count: 1, nodes: [{name: master-1, endpoint: 192.0.2.11}]}
  proxy: {count: 0}
addons: {cni: none, kubeProxy: false, coreDNS: false, metricsServer: false}
registries:
  - {host: registry.k8s.io, mirrors: [%[1]s]}
  - {host: docker.io, mirrors: [%[1]s]}
`

// published is a cluster of a family and the site that has all that it downloads.
type published struct {
	*cluster
	*upstream.Site
	base  string // the image of the operating system, as it was before it was packed
	first string // its version
}

// publish makes the image of a family and everything else that its lock names.
func publish(t *testing.T, family string) *published {
	t.Helper()
	site, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	for name, data := range toolPackages(t) {
		site.Package(name, data)
	}
	p := &published{cluster: &cluster{name: family, dir: t.TempDir()}, Site: site}
	snapshot := catalog.SnapshotAt(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1))
	if err := errors.Join(site.Typical(snapshot, bakedImages[:]), os.WriteFile(p.path("cluster.yaml"), fmt.Appendf(nil, familyFile, site.Registry, family), 0o644),
		os.WriteFile(p.path("keys.asc"), site.Keys, 0o644), smallHelper(p.path("imgforge-node"))); err != nil {
		t.Fatal(err)
	}
	switch family {
	case "flatcar":
		p.base, p.first = basedisk.Flatcar(t, basedisk.Small(), true), "4593.2.0"
		err = site.FlatcarDisk("stable", "amd64", p.first, packedBy(t, "bzip2", p.base))
	case "fcos":
		p.base, p.first = basedisk.CoreOS(t, nil), "44.20260803.3.0"
		err = site.FedoraCoreOSDisk("stable", p.first, packedBy(t, "xz", p.base))
	case "debian":
		p.base, p.first = basedisk.Debian(t, map[string]string{"etc/debian_version": "12.9\n", "usr/lib/os-release": "ID=debian\nVERSION_ID=12\n",
			"var/lib/dpkg/status": "Package: of-the-base\nStatus: install ok installed\nVersion: 1-1\nArchitecture: amd64\n"}), "20260701-2500"
		packed := filepath.Join(t.TempDir(), "base.qcow2")
		external(t, "qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", p.base, packed)
		var data []byte
		if data, err = os.ReadFile(packed); err == nil {
			err = site.DebianDisk("12", "amd64", p.first, data)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, "pki", "init")
	p.readPlan(t)
	return p
}

func packedBy(t *testing.T, program, path string) []byte {
	t.Helper()
	packed := filepath.Join(t.TempDir(), "base")
	external(t, "sh", "-c", program+` -1 -c "$0" > "$1"`, path, packed)
	data, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// toolPackages are packages of Debian that dpkg-deb makes: one program under the name
// of each tool that an extension may bring, and the libraries that it needs.
func toolPackages(t *testing.T) map[string][]byte {
	t.Helper()
	program := testtool.Path(t, "cat")
	files := map[string]map[string]string{"libc6": {}, "libgcc-s1": {}, "libmnl0": {}, "dpkg": {}, "conntrack": {"usr/sbin/conntrack": program}, "ethtool": {"usr/sbin/ethtool": program},
		"nftables": {"usr/sbin/nft": program}, "wireguard-tools": {"usr/bin/wg": program}}
	for word := range strings.FieldsSeq(external(t, "ldd", program)) {
		if strings.HasPrefix(word, "/") {
			files["libc6"]["lib/x86_64-linux-gnu/"+filepath.Base(word)] = word
		}
	}
	out := map[string][]byte{}
	for name, contents := range files {
		dir, deb := t.TempDir(), filepath.Join(t.TempDir(), name+".deb")
		contents["DEBIAN/control"] = ""
		for path, from := range contents {
			data := fmt.Appendf(nil, "Package: %s\nVersion: 1\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: test\n", name)
			if from != "" {
				var err error
				if data, err = os.ReadFile(from); err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755), os.WriteFile(filepath.Join(dir, path), data, 0o755)); err != nil {
				t.Fatal(err)
			}
		}
		external(t, "dpkg-deb", "--build", "--root-owner-group", "-Znone", dir, deb)
		data, err := os.ReadFile(deb)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = data
	}
	return out
}

func (p *published) download(args ...string) []string {
	return append(args, "--mirror", p.Mirror, "--mirrors-only", "--keys", p.path("keys.asc"), "--cache", p.path("cache"))
}

// build makes the images with nothing but the cache.
func (p *published) build(out string) ([]byte, error) {
	return p.try("build", "--offline", "--cache", p.path("cache"), "--helper", p.path("imgforge-node"), "--keys", p.path("keys.asc"), "--format", "raw,qcow2,raw.zst", "-o", out)
}

// From an image as its project publishes it to disks that can be handed out, with the
// commands that a user types: lock, fetch, build, verify. The table, the file systems
// and what first boot reads are judged by the programs that read them.
func TestFamilyFromLockToDisk(t *testing.T) {
	for _, family := range []string{"flatcar", "fcos", "debian"} {
		t.Run(family, func(t *testing.T) {
			p := publish(t, family)
			p.run(t, p.download("lock")...)
			if lock, err := os.ReadFile(p.path("imgforge.lock")); err != nil || !bytes.Contains(lock, []byte("version: "+p.first+"\n")) {
				t.Fatalf("the lock does not name %s: %v", p.first, err)
			}
			p.run(t, p.download("fetch")...)
			out := filepath.Join(p.dir, "out")
			said, err := p.build(out)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(said, []byte("not all in sbom")) {
				t.Errorf("not all of what is inside is listed:\n%s", said)
			}
			if text := p.run(t, "verify", out); !bytes.Contains(text, []byte("nothing is wrong")) {
				t.Errorf("%s", text)
			}
			one := map[string]string{"debian": "pkg:deb/debian/of-the-base@1-1?arch=amd64&distro=debian-12", "flatcar": "pkg:ebuild/app-containers/containerd@2.1.5",
				"fcos": "pkg:rpm/fedora/containerd@2.2.1-1.fc44?arch=x86_64&distro=fedora-44"}[family]
			if sbom := mustReadFile(t, filepath.Join(out, artifact.Public, "sbom.spdx.json")); !bytes.Contains(sbom, []byte(one)) {
				t.Errorf("the list of components lacks %s", one)
			}
			d := readDisk(t, filepath.Join(out, artifact.Public, "images", "master.raw"))
			d.judge(t, readDisk(t, p.base), family)
			if family == "flatcar" {
				p.refuses(t, out)
			}
		})
	}
}

// refuses is told with an image that is not Flatcar's at all, though its publisher
// signed it, and with one that the disk damaged after it was fetched.
func (p *published) refuses(t *testing.T, out string) {
	t.Helper()
	before := entries(t, out)
	unchanged := func(when string, err error, want string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", when, err, want)
		}
		for path, e := range entries(t, out) {
			if before[path] != e {
				t.Errorf("%s: %s changed", when, path)
			}
		}
	}
	cached := func() (largest string) {
		size := int64(0)
		err := filepath.WalkDir(p.path("cache"), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if info, err := d.Info(); err == nil && info.Size() > size && strings.Contains(path, "sha512") {
				largest, size = path, info.Size()
			}
			return err
		})
		if err != nil || largest == "" {
			t.Fatalf("no image in the cache: %v", err)
		}
		return largest
	}
	path := cached()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	put := func(data []byte) {
		t.Helper()
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	put(damaged)
	_, err = p.build(out)
	unchanged("damaged", err, "sha512:")
	put(whole)
	other := filepath.Join(t.TempDir(), "other")
	if err := basedisk.Imgforge(other, map[string]string{"etc/os-release": "ID=imgforge\n"}); err != nil {
		t.Fatal(err)
	}
	if err := p.FlatcarDisk("stable", "amd64", "4593.2.1", packedBy(t, "bzip2", other)); err != nil {
		t.Fatal(err)
	}
	p.run(t, p.download("lock", "--upgrade", "base")...)
	p.run(t, p.download("fetch")...)
	_, err = p.build(out)
	unchanged("another system", err, "it is not an image of kind flatcar: there is no partition labelled")
	for _, e := range mustRead(t, p.dir) {
		if strings.HasPrefix(e.Name(), ".imgforge") {
			t.Errorf("left: %s", e.Name())
		}
	}
}
