package release

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Media types, from the OCI image specification and of this project.
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	emptyType    = "application/vnd.oci.empty.v1+json"
	// IndexType is the artifact type of the index, and of every file's artifact it is
	// ours followed by the file's kind: application/vnd.imgforge.sysext.v1.
	IndexType = ours + "release.v1"
	ours      = "application/vnd.imgforge."
)

// Annotations. Clients give files back the name that the title has.
const (
	titleAnnotation    = "org.opencontainers.image.title"
	PathAnnotation     = "io.github.imgforge.path"
	ClusterAnnotation  = "io.github.imgforge.cluster"
	ManifestAnnotation = "io.github.imgforge.manifest"
	UntilAnnotation    = "io.github.imgforge.latest-boot"
	SecretAnnotation   = "io.github.imgforge.secret"
)

// File is one file of a release.
type File struct {
	// Title is the path in the output folder's part, slash-separated.
	Title string
	// Kind and Format are the manifest's.
	Kind, Format string
	SHA256       string // hex
	Size         int64  // bytes
	// Source is where it lies.
	Source string
	// Secret tells that nobody but the owner may read it.
	Secret bool
}

// Set is a release.
type Set struct {
	Cluster string
	// Manifest is the SHA-256 of manifest.json, in hex: what names a build.
	Manifest string
	// LatestBoot is the manifest's.
	LatestBoot string
	Files      []File
}

// Tag is the tag that names the release in a repository: the cluster and the first
// 16 digits of the manifest's SHA-256. With secret files inside it is another.
func (s Set) Tag() string {
	tag := s.Cluster + "-" + s.Manifest[:16]
	if slices.ContainsFunc(s.Files, func(f File) bool { return f.Secret }) {
		tag += "-secret"
	}
	return tag
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Data         []byte            `json:"data,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// document is a manifest or an index.
type document struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *descriptor       `json:"config,omitempty"`
	Layers        []descriptor      `json:"layers,omitempty"`
	Manifests     []descriptor      `json:"manifests,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// object is a document as the registry keeps it.
type object struct {
	descriptor
	data []byte
}

func encode(d document, annotations map[string]string) (object, error) {
	data, err := json.Marshal(d)
	if err != nil {
		return object{}, err
	}
	sum := sha256.Sum256(data)
	return object{data: data, descriptor: descriptor{MediaType: d.MediaType, ArtifactType: d.ArtifactType, Digest: "sha256:" + hex.EncodeToString(sum[:]),
		Size: int64(len(data)), Annotations: annotations}}, nil
}

// empty is the descriptor that stands for no configuration.
func empty() descriptor {
	data := []byte("{}")
	sum := sha256.Sum256(data)
	return descriptor{MediaType: emptyType, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(data)), Data: data}
}

func (f File) digest() string { return "sha256:" + f.SHA256 }

// mediaType is ours, the kind, and the format, as far as a media type can hold them.
func (f File) mediaType() (artifact, layer string, err error) {
	word := regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)
	if !word.MatchString(f.Kind) || f.Format != "" && !word.MatchString(f.Format) {
		return "", "", fmt.Errorf("%s: no media type can be made of its kind %q and format %q", f.Title, f.Kind, f.Format)
	}
	artifact = ours + f.Kind + ".v1"
	return artifact, strings.TrimSuffix(artifact+"."+f.Format, "."), nil
}

// manifest is a file's artifact.
func (f File) manifest() (object, error) {
	artifact, layer, err := f.mediaType()
	if err != nil {
		return object{}, err
	}
	config := empty()
	d := document{SchemaVersion: 2, MediaType: manifestType, ArtifactType: artifact, Config: &config,
		Layers: []descriptor{{MediaType: layer, Digest: f.digest(), Size: f.Size, Annotations: map[string]string{titleAnnotation: f.Title}}}}
	about := map[string]string{PathAnnotation: f.Title}
	if f.Secret {
		about[SecretAnnotation] = "true"
	}
	return encode(d, about)
}

// objects are the artifact of each file, in the order of titles and those that are
// secret last, and the index. They hold no time and no host.
func (s Set) objects() (files []File, manifests []object, index object, err error) {
	files = slices.Clone(s.Files)
	slices.SortFunc(files, func(a, b File) int {
		switch {
		case a.Secret == b.Secret:
			return strings.Compare(a.Title, b.Title)
		case a.Secret:
			return 1
		}
		return -1
	})
	d := document{SchemaVersion: 2, MediaType: indexType, ArtifactType: IndexType, Manifests: []descriptor{},
		Annotations: map[string]string{ClusterAnnotation: s.Cluster, ManifestAnnotation: "sha256:" + s.Manifest}}
	if s.LatestBoot != "" {
		d.Annotations[UntilAnnotation] = s.LatestBoot
	}
	for i, f := range files {
		if i > 0 && files[i-1].Title == f.Title {
			return nil, nil, object{}, fmt.Errorf("two files are named %s", f.Title)
		}
		m, err := f.manifest()
		if err != nil {
			return nil, nil, object{}, err
		}
		manifests = append(manifests, m)
		d.Manifests = append(d.Manifests, m.descriptor)
	}
	index, err = encode(d, nil)
	return files, manifests, index, err
}
