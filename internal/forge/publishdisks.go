package forge

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/scaleway"
)

// disks are the images that were asked for.
func (o PublishScalewayOptions) disks(c *cluster) ([]roleDisk, error) {
	if o.Clean {
		var out []roleDisk
		for _, r := range c.plan.Roles {
			if r.Slots > 0 && (o.Role == "" || o.Role == r.Name) {
				out = append(out, roleDisk{role: r.Name})
			}
		}
		return out, nil
	}
	var out []roleDisk
	var err error
	if o.Image != "" {
		var d roleDisk
		d, err = o.named(c)
		out = append(out, d)
	} else {
		out, err = o.built(c)
	}
	if err != nil {
		return nil, err
	}
	for _, d := range out {
		if !d.sealed && !o.WithSecrets {
			return nil, invalid("", fmt.Sprintf("%s is not known to be sealed: whoever may read the project's snapshots has the keys that are in it", d.path),
				"publish what `imgforge build` writes below out/public, or use --with-secrets")
		}
	}
	return out, nil
}

// built are the images in an output folder: the sealed ones of its public part, and of
// the secret part the others where they may be published.
func (o PublishScalewayOptions) built(c *cluster) ([]roleDisk, error) {
	if err := checkOutput(o.Out); err != nil {
		return nil, err
	}
	var out []roleDisk
	for _, part := range []string{artifact.Public, artifact.Secret} {
		if part == artifact.Secret && !o.WithSecrets {
			continue
		}
		found, err := c.disksOfPart(o.Out, part)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			if (o.Role == "" || d.role == o.Role) && !slices.ContainsFunc(out, func(x roleDisk) bool { return x.role == d.role }) {
				out = append(out, d)
			}
		}
	}
	if len(out) == 0 {
		whose := "no disk image of a role in qcow2"
		if o.Role != "" {
			whose = "no disk image of role " + o.Role + " in qcow2"
		}
		return nil, fmt.Errorf("%s has %s: `imgforge lock` and `imgforge build` make one; images with keys in the clear need --with-secrets", o.Out, whose)
	}
	return out, nil
}

// disksOfPart are a part's images of roles, each checked to be of this cluster.
func (c *cluster) disksOfPart(out, part string) ([]roleDisk, error) {
	m, err := artifact.ReadManifest(out, part)
	if err != nil {
		return nil, err
	}
	if m.Cluster != c.plan.Cluster {
		return nil, fmt.Errorf("%s is of cluster %s, and %s of %s: name another --out or -f", out, m.Cluster, c.file, c.plan.Cluster)
	}
	if m.Throwaway {
		return nil, fmt.Errorf("%s is not published: it was built with a throwaway store, whose keys are gone", out)
	}
	digest, err := fileDigest(filepath.Join(out, part, artifact.ManifestName))
	if err != nil {
		return nil, err
	}
	var all []roleDisk
	for _, e := range m.Files {
		if e.Disk != nil && e.Format == disk.QCOW2 && e.Role != "" && e.Node == "" {
			all = append(all, roleDisk{role: e.Role, path: filepath.Join(out, part, filepath.FromSlash(e.Path)), out: out, digest: digest, sum: e.SHA256, sealed: e.Disk.Sealed})
		}
	}
	return all, nil
}

// named is the image of --image, with what the manifest of its folder says of it.
func (o PublishScalewayOptions) named(c *cluster) (roleDisk, error) {
	path, err := filepath.Abs(o.Image)
	if err != nil {
		return roleDisk{}, err
	}
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		part := filepath.Base(dir)
		if part != artifact.Public && part != artifact.Secret {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, artifact.ManifestName)); err != nil {
			continue
		}
		found, err := c.disksOfPart(filepath.Dir(dir), part)
		if err != nil {
			return roleDisk{}, err
		}
		for _, d := range found {
			if d.path == path && d.role != o.Role {
				return d, invalid("", fmt.Sprintf("--role %s: %s is the disk of role %s", o.Role, o.Image, d.role), "name that role")
			}
			if d.path == path {
				return d, nil
			}
		}
	}
	return roleDisk{role: o.Role, path: o.Image}, nil
}

// fill reads the file: what it is, whether it is whole, and the checksums of its parts.
func (d roleDisk) fill(image *scaleway.Image, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	opened, err := disk.Open(d.path, filepath.Dir(d.path))
	if err != nil {
		return err
	}
	defer opened.Close()
	if opened.Packed != disk.QCOW2 {
		return fmt.Errorf("it is %s, and Scaleway imports qcow2 alone: `imgforge build --format qcow2` writes that", opened.Packed)
	}
	image.DiskSize = opened.Size()
	if image.Source, err = scaleway.Cut(f, info.Size(), 0); err != nil {
		return err
	}
	if d.sum != "" && image.Source.SHA256 != d.sum {
		return errors.New("it is not what the manifest says: build again, or see what `imgforge verify` finds")
	}
	if image.Digest == "" {
		image.Digest = "sha256:" + image.Source.SHA256
	}
	return nil
}
