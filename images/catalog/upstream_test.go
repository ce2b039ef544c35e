package catalog

import (
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/cache"
)

// The documented forms of what the projects publish, with hashes of nothing.
const (
	versionTxt = `FLATCAR_BUILD=4459
FLATCAR_BRANCH=2
FLATCAR_PATCH=1
FLATCAR_VERSION=4459.2.1+nightly
FLATCAR_VERSION_ID=4459.2.1
FLATCAR_BUILD_ID="2025-11-05-1826"
FLATCAR_SDK_VERSION=4459.0.0
`
	stream = `{"stream": "stable", "metadata": {"last-modified": "2026-08-04T00:00:00Z", "generator": "x"},
"architectures": {"x86_64": {"artifacts": {
  "qemu": {"release": "44.1", "formats": {"qcow2.xz": {"disk": {"location": "https://example.org/q", "signature": "https://example.org/q.sig", "sha256": "00"}}}},
  "metal": {"release": "44.20260802.3.1", "formats": {
    "pxe": {"kernel": {"location": "https://example.org/k", "sha256": "00"}},
    "4k.raw.xz": {"disk": {"location": "https://example.org/4k", "sha256": "00"}},
    "raw.xz": {"disk": {"location": "https://example.org/m.raw.xz", "signature": "https://example.org/m.raw.xz.sig", "sha256": "SUM", "uncompressed-sha256": "00"}}}}},
  "images": {"gcp": {"release": "44", "project": "p", "name": "n"}}}}}`
	debianBuild = `{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "cloud.debian.org/v1alpha1", "kind": "Upload", "data": {"provider": "cloud.debian.org", "ref": "cloud/bookworm/20260601-2496/x.qcow2"}, "metadata": {"labels": {"cloud.debian.org/version": "1-1"}}},
{"apiVersion": "cloud.debian.org/v1alpha1", "kind": "Build", "data": {"info": {"arch": "amd64", "version": "20260601-2496"}, "packages": []},
 "metadata": {"labels": {"cloud.debian.org/vendor": "genericcloud", "cloud.debian.org/version": "20260601-2496", "debian.org/release": "bookworm"}, "uid": "x"}}]}`
)

func TestFlatcar(t *testing.T) {
	if v, err := ParseFlatcarVersion([]byte(versionTxt)); err != nil || v != "4459.2.1" {
		t.Errorf("%q, %v", v, err)
	}
	for _, bad := range []string{"", "<html>", "FLATCAR_VERSION_ID=../x\n", "FLATCAR_VERSION_ID=\n"} {
		if v, err := ParseFlatcarVersion([]byte(bad)); err == nil {
			t.Errorf("%q is version %q", bad, v)
		}
	}
	sum := strings.Repeat("ab", 64)
	digests := "# MD5 HASH\n" + strings.Repeat("1", 32) + "  flatcar_production_image.bin.bz2\n# SHA1 HASH\n" + strings.Repeat("2", 40) +
		"  flatcar_production_image.bin.bz2\n# SHA512 HASH\n" + strings.Repeat("3", 128) + "  other\n" + sum + "  flatcar_production_image.bin.bz2\n"
	img, err := ParseFlatcarDigests("stable", "arm64", "4459.2.1", []byte(digests))
	want := Image{Version: "4459.2.1", URL: "https://stable.release.flatcar-linux.net/arm64-usr/4459.2.1/flatcar_production_image.bin.bz2",
		Digest: cache.Digest("sha512:" + sum), Signature: "https://stable.release.flatcar-linux.net/arm64-usr/4459.2.1/flatcar_production_image.bin.bz2.sig"}
	if err != nil || img != want {
		t.Errorf("%+v, %v", img, err)
	}
	if _, err := ParseFlatcarDigests("stable", "arm64", "4459.2.1", []byte(strings.Replace(digests, "SHA512", "SHA1", 1))); err == nil {
		t.Error("a hash of another kind was taken")
	}
	if got := FlatcarVersionURL("lts-2024", "amd64"); got != "https://lts.release.flatcar-linux.net/amd64-usr/current-2024/version.txt" {
		t.Error(got)
	}
}

func TestStream(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	data := []byte(strings.Replace(stream, "SUM", sum, 1))
	img, err := ParseStream(data, "amd64")
	want := Image{Version: "44.20260802.3.1", URL: "https://example.org/m.raw.xz", Digest: cache.Digest("sha256:" + sum), Signature: "https://example.org/m.raw.xz.sig"}
	if err != nil || img != want {
		t.Errorf("%+v, %v", img, err)
	}
	if _, err := ParseStream(data, "arm64"); err == nil || !strings.Contains(err.Error(), `stream "stable" has no metal image raw.xz for aarch64`) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "[]", "{}", stream} {
		if _, err := ParseStream([]byte(bad), "amd64"); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestDebian(t *testing.T) {
	v, err := ParseDebianBuild([]byte(debianBuild))
	if err != nil || v != "20260601-2496" {
		t.Errorf("%q, %v", v, err)
	}
	sum := strings.Repeat("ab", 64)
	sums := strings.Repeat("0", 128) + "  debian-12-genericcloud-arm64-20260601-2496.qcow2\n" + sum + "  debian-12-genericcloud-amd64-20260601-2496.qcow2\n"
	img, err := ParseDebianSums("12", "amd64", v, []byte(sums))
	want := Image{Version: v, Digest: cache.Digest("sha512:" + sum), URL: "https://cloud.debian.org/images/cloud/bookworm/20260601-2496/debian-12-genericcloud-amd64-20260601-2496.qcow2"}
	if err != nil || img != want {
		t.Errorf("%+v, %v", img, err)
	}
	for _, bad := range []string{"", "{}", strings.Replace(debianBuild, `"Build"`, `"Other"`, 1), strings.Replace(debianBuild, `version": "20260601-2496", "debian.org`, `version": "../..", "debian.org`, 1)} {
		if v, err := ParseDebianBuild([]byte(bad)); err == nil {
			t.Errorf("%q was taken as %s", bad, v)
		}
	}
}

// Lists of hashes come in several forms.
func TestSum(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for _, list := range []string{sum, sum + "\n", sum + "  runc.amd64\n", strings.ToUpper(sum) + " *runc.amd64\n",
		"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n" + strings.Repeat("0", 64) + "  runc.arm64\n" + sum + "  runc.amd64\n-----BEGIN PGP SIGNATURE-----\n\nabc\n"} {
		if got, err := Sum([]byte(list), "runc.amd64"); err != nil || got != sum {
			t.Errorf("%q: %q, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "<html>\n", sum + "  runc\n", sum + "\n" + sum + "\n"} {
		if got, err := Sum([]byte(list), "runc.amd64"); err == nil {
			t.Errorf("%q: %q", list, got)
		}
	}
}

// Every channel that a cluster file can name leads to a base.
func TestFind(t *testing.T) {
	for _, tc := range []struct{ family, channel, base, version string }{
		{"flatcar", "stable", "stable", ""}, {"flatcar", "beta", "beta", ""}, {"flatcar", "alpha", "alpha", ""}, {"flatcar", "lts", "lts", ""}, {"flatcar", "lts-2024", "lts", ""},
		{"flatcar", "4459.2.1", "stable", "4459.2.1"}, {"flatcar", "4628.1.0", "beta", "4628.1.0"}, {"flatcar", "4081.3.6", "lts", "4081.3.6"},
		{"fcos", "stable", "stable", ""}, {"fcos", "testing", "testing", ""}, {"fcos", "next", "next", ""}, {"debian", "12", "12", ""}, {"debian", "13", "13", ""},
	} {
		for _, arch := range []string{"amd64", "arm64"} {
			b, version, err := Find(tc.family, tc.channel, arch)
			if err != nil || b.Channel != tc.base || version != tc.version || b.Arch != arch {
				t.Errorf("%s %s: %s %s, %v", tc.family, tc.channel, b.Channel, version, err)
			}
			if b.Keys == "" != (b.Family == "debian") || b.Trust == "" || b.Format == "" || b.Config.Path == "" {
				t.Errorf("%s %s is not described: %+v", tc.family, tc.channel, b)
			}
			if _, err := Keys(b.Keys); b.Keys != "" && err != nil {
				t.Error(err)
			}
		}
	}
	for _, bad := range [][2]string{{"flatcar", "5.5.5"}, {"fcos", "44.20260802.3.1"}, {"debian", "11"}, {"ubuntu", "24.04"}} {
		if _, _, err := Find(bad[0], bad[1], "amd64"); err == nil || !strings.Contains(err.Error(), "the catalogue has no "+bad[0]) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
