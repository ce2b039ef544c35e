package catalog

import (
	"slices"
	"strings"
	"testing"
)

// Names and versions of Gentoo are told apart, whatever hyphens and digits they have.
func TestPortage(t *testing.T) {
	got, err := ParseList("flatcar", "4459.2.1", []byte("acct-group/adm-0-r3::portage-stable\n\napp-misc/ca-certificates-3.115::coreos-overlay\ndev-libs/libpcre2-10.44-r1::portage-stable\n"+
		"app-shells/bash-5.3_p3-r1::portage-stable\nsys-boot/grub-2.12-r9\nnet-misc/openssh-10.0_p1\nsys-devel/gcc-14.3.1_p20250801::portage-stable\nmedia-libs/x-1.2b_alpha1_rc2::x\ndev-cpp/gtk+-2.24::x\n"))
	want := []Installed{{Name: "acct-group/adm", Version: "0-r3"}, {Name: "app-misc/ca-certificates", Version: "3.115"}, {Name: "dev-libs/libpcre2", Version: "10.44-r1"},
		{Name: "app-shells/bash", Version: "5.3_p3-r1"}, {Name: "sys-boot/grub", Version: "2.12-r9"}, {Name: "net-misc/openssh", Version: "10.0_p1"},
		{Name: "sys-devel/gcc", Version: "14.3.1_p20250801"}, {Name: "media-libs/x", Version: "1.2b_alpha1_rc2"}, {Name: "dev-cpp/gtk+", Version: "2.24"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{"": "it names no package", "\n\n": "it names no package", "<html>\n": `line 1: "<html>" is no package with its version`,
		"a/b-1::x\n * Warning\n": `line 2: "* Warning" is no`, "a/b::x\n": "line 1", "b-1::x\n": "line 1"} {
		if got, err := ParseList("flatcar", "1", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// What rpm-ostree notes is read as the commit of that version has it.
func TestCommitMetadata(t *testing.T) {
	const begin = `{"coreos-assembler.basearch": "x86_64", "ostree.linux": "6.16", "version": "44.20260802.3.1", "rpmostree.rpmdb.pkglist": [`
	got, err := ParseList("fcos", "44.20260802.3.1", []byte(begin+`["bash","0","5.3.0","2.fc44","x86_64"],["shadow-utils","2","4.18.0","3.fc44","x86_64"],["gpg-pubkey","(none)","105ef944","65ca83d1","(none)"],["odd","0","1","","noarch"]]}`))
	want := []Installed{{Name: "bash", Version: "5.3.0-2.fc44", Arch: "x86_64"}, {Name: "shadow-utils", Version: "4.18.0-3.fc44", Epoch: "2", Arch: "x86_64"},
		{Name: "gpg-pubkey", Version: "105ef944-65ca83d1"}, {Name: "odd", Version: "1", Arch: "noarch"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for text, want := range map[string]string{"<html>": "invalid character", "{}": "it names no package", begin + `]}`: "it names no package",
		begin + `["bash","0","5.3.0","2.fc44"]]}`: "package 1: ", begin + `["","0","1","2","x"]]}`: "package 1: ", begin + `[1]]}`: "cannot unmarshal"} {
		if got, err := ParseList("fcos", "44.20260802.3.1", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	if _, err := ParseList("fcos", "44.1", []byte(begin+`["bash","0","5","2","x"]]}`)); err == nil || err.Error() != "list of packages: it is of version 44.20260802.3.1, not of 44.1" {
		t.Errorf("%v", err)
	}
	if _, err := ParseList("debian", "1", nil); err == nil {
		t.Error("Debian has a list")
	}
}

// Lists lie beside the image that they are of.
func TestLists(t *testing.T) {
	const at = "https://stable.release.flatcar-linux.net/amd64-usr/4459.2.1/"
	got := Lists("flatcar", at+"flatcar_production_image.bin.bz2")
	if len(got) != 3 || got[0] != (List{"image", at + "flatcar_production_image_packages.txt", at + "flatcar_production_image_packages.txt.sig"}) ||
		got[1] != (List{"containerd-flatcar", at + "rootfs-included-sysexts/containerd-flatcar_packages.txt", at + "rootfs-included-sysexts/containerd-flatcar_packages.txt.sig"}) {
		t.Errorf("%q", got)
	}
	const builds = "https://builds.coreos.fedoraproject.org/prod/streams/stable/builds/44.20260802.3.1/x86_64/"
	if got := Lists("fcos", builds+"fedora-coreos-44.20260802.3.1-metal.x86_64.raw.xz"); !slices.Equal(got, []List{{"image", builds + "commitmeta.json", ""}}) {
		t.Errorf("%q", got)
	}
	if got := Lists("debian", "https://example.org/x"); got != nil {
		t.Errorf("%q", got)
	}
}
