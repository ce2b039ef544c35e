package scaleway

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The tags of images and their snapshots besides those of their cluster and role.
const (
	VersionTag = "imgforge.version=" // of Kubernetes
	DigestTag  = "imgforge.digest="  // what the image was made of
)

// Image is what is to be published: the disk of one role.
type Image struct {
	Cluster, Role string
	Version       string // of Kubernetes
	Arch          string // amd64 | arm64
	// Digest is sha256:HEX of the manifest that lists the file, or of the file when none does.
	Digest string
	// DiskSize is the disk's size in bytes as a server sees it.
	DiskSize int64
	// Keep is how many images of the role stay, this one among them.
	Keep int
	// Bucket is one of yours, which stays; "" has one made and removed.
	Bucket string
	// Source is the file; nil publishes nothing and removes what was left half done.
	Source *Source
}

func (i *Image) name() string { return i.Cluster + "-" + i.Role + "-" + short(i.Digest) }

// folder holds all that runs for this role ever put into a bucket.
func (i *Image) folder() string { return "imgforge/" + i.Cluster + "/" + i.Role + "/" }

func (i *Image) key() string { return i.folder() + short(i.Digest) + ".qcow2" }

func (i *Image) tags() []string {
	return []string{ClusterTag + i.Cluster, RoleTag + i.Role, VersionTag + i.Version, DigestTag + i.Digest}
}

// owns tells whether something is an image or a snapshot of this cluster and role.
func (i *Image) owns(tags []string) bool {
	return slices.Contains(tags, ClusterTag+i.Cluster) && slices.Contains(tags, RoleTag+i.Role) && tagged(tags, DigestTag) != ""
}

// short is enough of a digest for people and names.
func short(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(len(hex), 16)]
}

// ownBucket is the bucket that imgforge makes. All customers share the names of
// buckets, and each role has one of its own, so that removing it disturbs no other run.
func ownBucket(project, region string, i *Image) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{project, region, i.Cluster, i.Role}, "/")))
	return "imgforge-" + hex.EncodeToString(sum[:12])
}

// Shelf is what exists of a role's images.
type Shelf struct {
	Images    []SeenImage
	Snapshots []SeenSnapshot
	Used      map[string]bool // IDs of images that servers were made from
	Bucket    bool
	Objects   []SeenObject
	Uploads   []SeenUpload
}

// States of images and snapshots.
const (
	stateAvailable = "available"
	stateInUse     = "in_use"
	stateError     = "error"
)

// SeenImage is an image of the role.
type SeenImage struct {
	ID, Name, Digest string
	Root             string // ID of its snapshot
	State            string
	Created          time.Time
}

// SeenSnapshot is a snapshot of the role.
type SeenSnapshot struct {
	ID, Name, Digest, State string
}

func (s SeenSnapshot) ready() bool { return s.State == stateAvailable || s.State == stateInUse }

// SeenObject is an object below the role's folder.
type SeenObject struct {
	Key  string
	Size int64
	ETag string
}

// SeenUpload is an upload that was begun and neither completed nor aborted.
type SeenUpload struct {
	Key, ID string
	Parts   map[int]string // ETag by number
}

func (s *Shelf) upload(id string) *SeenUpload {
	for i := range s.Uploads {
		if s.Uploads[i].ID == id || id == "" {
			return &s.Uploads[i]
		}
	}
	return nil
}

func (s *Shelf) forget(upload string) {
	s.Uploads = slices.DeleteFunc(s.Uploads, func(u SeenUpload) bool { return u.ID == upload })
}

func (s *Shelf) forgetObject(key string) {
	s.Objects = slices.DeleteFunc(s.Objects, func(o SeenObject) bool { return o.Key == key })
}

// image is the one with a digest that is furthest on its way.
func (s *Shelf) image(digest string) *SeenImage {
	return best(s.Images, func(i SeenImage) (bool, bool) { return i.Digest == digest, i.State == stateAvailable })
}

func (s *Shelf) snapshot(digest string) *SeenSnapshot {
	return best(s.Snapshots, func(x SeenSnapshot) (bool, bool) { return x.Digest == digest && x.State != stateError, x.ready() })
}

// best finds the first that is wanted and ready, or else the first that is wanted.
func best[T any](all []T, is func(T) (wanted, ready bool)) *T {
	var found *T
	for i := range all {
		wanted, ready := is(all[i])
		if wanted && ready {
			return &all[i]
		}
		if wanted && found == nil {
			found = &all[i]
		}
	}
	return found
}

// newestFirst orders images by when they were made.
func newestFirst(a, b SeenImage) int {
	return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
}

// Summary says in one line what exists.
func (s *Shelf) Summary() string {
	var parts []string
	for _, i := range s.Images {
		parts = append(parts, fmt.Sprintf("image %s (%s)", i.Name, i.State))
	}
	for _, x := range s.Snapshots {
		if !slices.ContainsFunc(s.Images, func(i SeenImage) bool { return i.Root == x.ID }) {
			parts = append(parts, fmt.Sprintf("snapshot %s (%s)", x.Name, x.State))
		}
	}
	for _, o := range s.Objects {
		parts = append(parts, fmt.Sprintf("object %s (%d bytes)", o.Key, o.Size))
	}
	for _, u := range s.Uploads {
		parts = append(parts, fmt.Sprintf("unfinished upload of %s (%d parts)", u.Key, len(u.Parts)))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}
