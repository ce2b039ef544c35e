package catalog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// List is a list of packages that a project publishes beside an image.
type List struct {
	// Name is "image", or that of a system extension which lies in the image.
	Name string
	URL  string
	// Signature is the URL of a detached OpenPGP signature over it; "" where nobody signs.
	Signature string
}

// ListOfImage is the name of the list of an image itself.
const ListOfImage = "image"

// FlatcarExtensions are the system extensions that lie in every image of Flatcar since
// containerd and docker are no packages of it any more (ci-automation/base_sysexts.sh
// of the project). Each ends in -flatcar and begins with the package that it is of.
func FlatcarExtensions() []string { return []string{"containerd-flatcar", "docker-flatcar"} }

// Lists are what is published beside the image at a URL; none where its family has no
// such thing.
func Lists(family, image string) []List {
	folder := image[:strings.LastIndexByte(image, '/')+1]
	switch family {
	case "flatcar":
		out := []List{{Name: ListOfImage, URL: folder + "flatcar_production_image_packages.txt"}}
		for _, name := range FlatcarExtensions() {
			out = append(out, List{Name: name, URL: folder + "rootfs-included-sysexts/" + name + "_packages.txt"})
		}
		for i := range out {
			out[i].Signature = out[i].URL + ".sig"
		}
		return out
	case "fcos":
		return []List{{Name: ListOfImage, URL: folder + "commitmeta.json"}}
	}
	return nil
}

// Installed is a package of an operating system.
type Installed struct {
	Name    string // of Flatcar with its category, as in sys-apps/systemd
	Version string // of Fedora CoreOS with the release, as in 2.41-1.fc44
	// Epoch and Arch are RPM's; "" where there is none.
	Epoch, Arch string
}

// ParseList reads a list of the image of a version.
func ParseList(family, version string, data []byte) ([]Installed, error) {
	var out []Installed
	var err error
	switch family {
	case "flatcar":
		out, err = portage(data)
	case "fcos":
		out, err = commitMetadata(version, data)
	default:
		return nil, fmt.Errorf("no list of packages of %s is known", family)
	}
	if err == nil && len(out) == 0 {
		err = errors.New("it names no package")
	}
	if err != nil {
		return nil, fmt.Errorf("list of packages: %w", err)
	}
	return out, nil
}

// portageName is category/name-version as Gentoo's Package Manager Specification has
// it (3.1 and 3.2): no name ends in what is a version.
const portageName = `^([A-Za-z0-9_][A-Za-z0-9+_.-]*/[A-Za-z0-9_][A-Za-z0-9+_-]*?)-([0-9]+(?:\.[0-9]+)*[a-z]?(?:_(?:alpha|beta|pre|rc|p)[0-9]*)*(?:-r[0-9]+)?)$`

// portage reads lines such as sys-apps/systemd-257.9::portage-stable, where the
// repository that a package is from stands last.
func portage(data []byte) (out []Installed, err error) {
	form := regexp.MustCompile(portageName)
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := string(bytes.TrimSpace(line))
		if text == "" {
			continue
		}
		name, _, _ := strings.Cut(text, "::")
		parts := form.FindStringSubmatch(name)
		if parts == nil {
			return nil, fmt.Errorf("line %d: %.80q is no package with its version", number, text)
		}
		out = append(out, Installed{Name: parts[1], Version: parts[2]})
	}
	return out, nil
}

// commitMetadata reads what rpm-ostree notes in a commit: name, epoch, version,
// release and architecture of each package. The commit's own version is compared
// where it says one.
func commitMetadata(version string, data []byte) (out []Installed, err error) {
	var commit struct {
		Version  string     `json:"version"`
		Packages [][]string `json:"rpmostree.rpmdb.pkglist"`
	}
	if err := json.Unmarshal(data, &commit); err != nil {
		return nil, err
	}
	if commit.Version != "" && commit.Version != version {
		return nil, fmt.Errorf("it is of version %s, not of %s", commit.Version, version)
	}
	for i, p := range commit.Packages {
		if len(p) != 5 || p[0] == "" || p[2] == "" {
			return nil, fmt.Errorf("package %d: %.80q is not name, epoch, version, release and architecture", i+1, p)
		}
		one := Installed{Name: p[0], Version: p[2], Epoch: p[1], Arch: p[4]}
		if p[3] != "" {
			one.Version += "-" + p[3]
		}
		if one.Epoch == "0" || one.Epoch == "(none)" { // as who never says one
			one.Epoch = ""
		}
		if one.Arch == "(none)" {
			one.Arch = ""
		}
		out = append(out, one)
	}
	return out, nil
}
