package catalog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/imgforge/imgforge/images/cache"
)

// Image is a published disk image of one version.
type Image struct {
	Version string
	URL     string
	Digest  cache.Digest
	// Signature is the URL of a detached OpenPGP signature over the image itself;
	// empty where there is none.
	Signature string
}

// FlatcarVersionURL is the document that says which version a channel is at; the
// long-term channel can be followed by year, as in lts-2024.
func FlatcarVersionURL(channel, arch string) string {
	name, year, _ := strings.Cut(channel, "-")
	current := "current"
	if year != "" {
		current += "-" + year
	}
	return flatcarBase(name, arch) + "/" + current + "/version.txt"
}

// ParseFlatcarVersion reads version.txt: lines of KEY=VALUE.
func ParseFlatcarVersion(data []byte) (string, error) {
	for line := range strings.Lines(string(data)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "FLATCAR_VERSION_ID="); ok {
			v = strings.Trim(v, `"`)
			if v == "" || strings.Trim(v, "0123456789.+-abcdefghijklmnopqrstuvwxyz") != "" {
				return "", fmt.Errorf("version.txt: %q is no version", v)
			}
			return v, nil
		}
	}
	return "", errors.New("version.txt: it has no line FLATCAR_VERSION_ID=")
}

// flatcarImage is the image without any provider's additions: baking sets oem_id itself.
const flatcarImage = "flatcar_production_image.bin.bz2"

// FlatcarDigestsURL is the clear-signed list of the image's hashes.
func FlatcarDigestsURL(channel, arch, version string) string {
	return flatcarBase(channel, arch) + "/" + version + "/" + flatcarImage + ".DIGESTS.asc"
}

// ParseFlatcarDigests reads the text of a DIGESTS list whose signature was
// checked: headings such as "# SHA512 HASH", below each the lines of sha512sum.
func ParseFlatcarDigests(channel, arch, version string, text []byte) (Image, error) {
	heading := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "# "); ok {
			heading = name
			continue
		}
		sum, file, _ := strings.Cut(line, "  ")
		if heading != "SHA512 HASH" || file != flatcarImage {
			continue
		}
		d, err := cache.ParseDigest(cache.SHA512 + ":" + sum)
		if err != nil {
			return Image{}, fmt.Errorf("DIGESTS of %s: %w", flatcarImage, err)
		}
		url := flatcarBase(channel, arch) + "/" + version + "/" + flatcarImage
		return Image{Version: version, URL: url, Digest: d, Signature: url + ".sig"}, nil
	}
	return Image{}, fmt.Errorf("the DIGESTS list holds no SHA512 of %s", flatcarImage)
}

// StreamURL is the metadata of a Fedora CoreOS stream.
func StreamURL(stream string) string { return fcosStreams + "/" + stream + ".json" }

// ParseStream finds the bare-metal image, which baking starts from, in the
// metadata of a stream: the format of coreos/stream-metadata-go.
func ParseStream(data []byte, arch string) (Image, error) {
	var stream struct {
		Stream        string
		Architectures map[string]struct {
			Artifacts map[string]struct {
				Release string
				Formats map[string]struct {
					Disk *struct{ Location, Signature, SHA256 string }
				}
			}
		}
	}
	if err := json.Unmarshal(data, &stream); err != nil {
		return Image{}, fmt.Errorf("stream metadata: %w", err)
	}
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
	metal := stream.Architectures[machine].Artifacts["metal"]
	disk := metal.Formats["raw.xz"].Disk
	if disk == nil {
		return Image{}, fmt.Errorf("the metadata of stream %q has no metal image raw.xz for %s", stream.Stream, machine)
	}
	d, err := cache.ParseDigest(cache.SHA256 + ":" + disk.SHA256)
	if err != nil {
		return Image{}, fmt.Errorf("stream metadata: %w", err)
	}
	return Image{Version: metal.Release, URL: disk.Location, Digest: d, Signature: disk.Signature}, nil
}

// codename is what Debian's paths call a release.
func codename(release string) string {
	return map[string]string{"12": "bookworm", "13": "trixie"}[release]
}

// DebianBuildURL is the description of the newest image of a release.
func DebianBuildURL(release, arch string) string {
	return fmt.Sprintf("%s/%s/latest/debian-%s-genericcloud-%s.json", debianImages, codename(release), release, arch)
}

// ParseDebianBuild reads which version that is, such as 20260601-2496: a list of
// objects of cloud.debian.org/v1alpha1, whose labels carry it.
func ParseDebianBuild(data []byte) (string, error) {
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct{ Labels map[string]string }
		}
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return "", fmt.Errorf("description of Debian's image: %w", err)
	}
	for _, item := range list.Items {
		version := item.Metadata.Labels["cloud.debian.org/version"]
		if item.Kind == "Build" && version != "" && strings.Trim(version, "0123456789-") == "" {
			return version, nil
		}
	}
	return "", errors.New("description of Debian's image: no Build in it has a label cloud.debian.org/version")
}

// DebianSumsURL is the list of hashes of one version.
func DebianSumsURL(release, version string) string {
	return fmt.Sprintf("%s/%s/%s/SHA512SUMS", debianImages, codename(release), version)
}

// ParseDebianSums finds the image in that list.
func ParseDebianSums(release, arch, version string, data []byte) (Image, error) {
	file := fmt.Sprintf("debian-%s-genericcloud-%s-%s.qcow2", release, arch, version)
	sum, err := Sum(data, file)
	if err != nil {
		return Image{}, err
	}
	d, err := cache.ParseDigest(cache.SHA512 + ":" + sum)
	if err != nil {
		return Image{}, fmt.Errorf("SHA512SUMS: %w", err)
	}
	return Image{Version: version, Digest: d, URL: fmt.Sprintf("%s/%s/%s/%s", debianImages, codename(release), version, file)}, nil
}

// Sum finds a file's hash in what publishers write: lines of sha256sum and its
// kind, or a hash alone.
func Sum(data []byte, file string) (string, error) {
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.Trim(strings.ToLower(fields[0]), "0123456789abcdef") != "" {
			continue
		}
		switch {
		case len(fields) == 2 && strings.TrimPrefix(fields[1], "*") == file:
			return strings.ToLower(fields[0]), nil
		case len(fields) == 1 && len(bytes.TrimSpace(data)) == len(fields[0]):
			return strings.ToLower(fields[0]), nil
		}
	}
	return "", fmt.Errorf("the list of hashes does not hold %s", file)
}
