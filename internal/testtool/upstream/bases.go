package upstream

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/imgforge/imgforge/images/catalog"
)

// Flatcar publishes a version and makes it the channel's current one.
func (s *Site) Flatcar(channel, arch, version string) error {
	return s.FlatcarDisk(channel, arch, version, body("flatcar "+version+" "+arch))
}

// FlatcarDisk is [Site.Flatcar] with an image, in bzip2.
func (s *Site) FlatcarDisk(channel, arch, version string, data []byte) error {
	text := "FLATCAR_BUILD=1\nFLATCAR_VERSION=" + version + "\nFLATCAR_VERSION_ID=" + version + "\nFLATCAR_BUILD_ID=\"2026-01-01-0000\"\n"
	if err := s.Put(catalog.FlatcarVersionURL(channel, arch), []byte(text)); err != nil {
		return err
	}
	digests := catalog.FlatcarDigestsURL(channel, arch, version)
	image := strings.TrimSuffix(digests, ".DIGESTS.asc")
	list := fmt.Sprintf("# MD5 HASH\n%032x  %[2]s\n# SHA1 HASH\n%040[1]x  %[2]s\n# SHA512 HASH\n%[3]s  %[2]s\n", 7, path.Base(image), sum512(data))
	signed, err := s.clearSign([]byte(list))
	if err != nil {
		return err
	}
	if err := errors.Join(s.Put(image, data), s.Put(digests, signed)); err != nil {
		return err
	}
	for name, text := range map[string]string{
		catalog.ListOfImage: "acct-group/adm-0-r3::portage-stable\napp-arch/bzip2-1.0.8-r5::portage-stable\ncoreos-base/coreos-0.0.1-r348::coreos-overlay\n" +
			"dev-libs/openssl-3.4.1::portage-stable\nsys-apps/systemd-257.9::portage-stable\nsys-kernel/coreos-kernel-6.12.54::coreos-overlay\nvirtual/udev-217-r7::portage-stable\n",
		"containerd-flatcar": "app-containers/containerd-2.1.5::portage-stable\napp-containers/runc-1.3.3::portage-stable\n",
		"docker-flatcar":     "app-containers/docker-28.0.4::portage-stable\n",
	} {
		if err := s.FlatcarList(image, name, []byte(text)); err != nil {
			return err
		}
	}
	return nil
}

// FlatcarList publishes a list of packages of the image at a URL, signed.
func (s *Site) FlatcarList(image, name string, text []byte) error {
	signature, err := s.detached(text)
	if err != nil {
		return err
	}
	for _, l := range catalog.Lists("flatcar", image) {
		if l.Name == name {
			return errors.Join(s.Put(l.URL, text), s.Put(l.Signature, signature))
		}
	}
	return fmt.Errorf("publish a list of packages: Flatcar has none called %s", name)
}

// FedoraCoreOS publishes a release and makes it the stream's.
func (s *Site) FedoraCoreOS(stream, version string) error {
	return s.FedoraCoreOSDisk(stream, version, body("fcos "+version))
}

// FedoraCoreOSDisk is [Site.FedoraCoreOS] with an image, in xz.
func (s *Site) FedoraCoreOSDisk(stream, version string, data []byte) error {
	const format = `{"stream": %q, "metadata": {"last-modified": "2026-01-01T00:00:00Z"}, "architectures": {"x86_64": {"artifacts": {"metal": {
  "release": %q, "formats": {"raw.xz": {"disk": {"location": %q, "signature": %q, "sha256": %q}}}}}}}}`
	location := strings.TrimSuffix(catalog.StreamURL(stream), ".json") + "/builds/" + version + "/fedora-coreos-metal.raw.xz"
	signature, err := s.detached(data)
	if err != nil {
		return err
	}
	const commit = `{"coreos-assembler.basearch": "x86_64", "version": %q, "rpmostree.rpmdb.pkglist": [["bash", "0", "5.3.0", "2.fc44", "x86_64"],
  ["containerd", "0", "2.2.1", "1.fc44", "x86_64"], ["ca-certificates", "0", "2025.2.80", "4.fc44", "noarch"], ["shadow-utils", "2", "4.18.0", "3.fc44", "x86_64"]]}`
	for at, contents := range map[string][]byte{
		location: data, location + ".sig": signature,
		catalog.Lists("fcos", location)[0].URL: fmt.Appendf(nil, commit, version),
		catalog.StreamURL(stream):              fmt.Appendf(nil, format, stream, version, location, location+".sig", sum256(data)),
	} {
		if err := s.Put(at, contents); err != nil {
			return err
		}
	}
	return nil
}

// DebianImage publishes a cloud image and makes it the release's latest.
func (s *Site) DebianImage(release, arch, version string) error {
	return s.DebianDisk(release, arch, version, body("debian "+version))
}

// DebianDisk is [Site.DebianImage] with an image, in qcow2.
func (s *Site) DebianDisk(release, arch, version string, data []byte) error {
	build := fmt.Sprintf(`{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "cloud.debian.org/v1alpha1", "kind": "Build",
  "metadata": {"labels": {"cloud.debian.org/vendor": "genericcloud", "cloud.debian.org/version": %q, "debian.org/arch": %q}}}]}`, version, arch)
	sums := catalog.DebianSumsURL(release, version)
	file := fmt.Sprintf("debian-%s-genericcloud-%s-%s.qcow2", release, arch, version)
	for at, contents := range map[string][]byte{
		catalog.DebianBuildURL(release, arch): []byte(build),
		sums:                                  []byte(sum512([]byte("other")) + "  other.qcow2\n" + sum512(data) + "  " + file + "\n"),
		strings.TrimSuffix(sums, path.Base(sums)) + file: data,
	} {
		if err := s.Put(at, contents); err != nil {
			return err
		}
	}
	return nil
}
