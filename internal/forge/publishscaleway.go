package forge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/scaleway"
)

// PublishScalewayOptions choose what becomes an image there.
type PublishScalewayOptions struct {
	Source Source
	// Out is the output folder whose disk images are published; not used with Image.
	Out string
	// Image is one disk image, of Role.
	Image string
	// Role restricts to one role; "" means each that Out has a qcow2 of.
	Role string
	// Bucket is one of yours in the zone's region; "" has one made and removed.
	Bucket string
	// Keep is how many images of a role stay.
	Keep int
	// WithSecrets allows images that are not sealed.
	WithSecrets bool
	// Dry makes no change.
	Dry bool
	// Clean publishes nothing and removes what runs left half done.
	Clean bool
}

// PublishedScaleway is what publishing did, or would do, for one role.
type PublishedScaleway struct {
	Role string `json:"role"`
	// Image is the ID to boot servers from; "" before it is made.
	Image   string   `json:"image,omitempty"`
	Digest  string   `json:"digest,omitempty"`
	Already bool     `json:"already"`
	Changes []string `json:"changes,omitempty"` // that a dry run would make
	Exists  string   `json:"exists"`
	// Unchecked are checks of the image and its folder that were not made, each with the reason.
	Unchecked []string `json:"unchecked,omitempty"`
}

// PublishScaleway makes disk images what servers at Scaleway boot from, role by role.
func (a *App) PublishScaleway(ctx context.Context, o PublishScalewayOptions) ([]PublishedScaleway, error) {
	var err error
	if o.Source, err = o.Source.kept(); err != nil {
		return nil, err
	}
	c, err := a.load(o.Source, noFacts)
	if err != nil {
		return nil, err
	}
	if c.plan.Platform.Provider != "scaleway" {
		return nil, invalidAt(c, "platform.provider", "images are published at scaleway alone, and this is "+c.plan.Platform.Provider, "import them with that provider's own tools")
	}
	if err := o.check(c); err != nil {
		return nil, err
	}
	chosen, err := o.disks(c)
	if err != nil {
		return nil, err
	}
	unchecked, err := a.proven(o, chosen)
	if err != nil {
		return nil, err
	}
	client, err := scaleway.NewClient(c.plan.Platform.Zone)
	if err != nil {
		return nil, err
	}
	r := &scaleway.Runner{Client: client, Pause: pause, Say: func(line string) { a.logf("%s", line) }}
	var out []PublishedScaleway
	for _, d := range chosen {
		done, err := a.publishDisk(ctx, r, c, d, o)
		if err != nil {
			return out, err
		}
		done.Unchecked = unchecked
		out = append(out, *done)
	}
	return out, nil
}

func (o PublishScalewayOptions) check(c *cluster) error {
	if o.Keep < 1 {
		return invalid("", fmt.Sprintf("--keep %d: the image that is published is one of those that stay", o.Keep), "write 1 or more")
	}
	if o.Image != "" && o.Role == "" {
		return invalid("", "--image: whose disk that is has to be said", "name its role with --role")
	}
	if o.Image != "" && o.Clean {
		return invalid("", "--clean publishes nothing", "leave --image out")
	}
	if r, ok := c.plan.Role(o.Role); o.Role != "" && (!ok || r.Slots == 0) {
		return c.noSuchRole(o.Role)
	}
	return nil
}

// roleDisk is the disk image of one role.
type roleDisk struct {
	role, path string
	out        string // the output folder whose manifest lists it, "" when none does
	digest     string // sha256:HEX of the manifest that lists it, "" when none does
	sum        string // SHA-256 that the manifest says, "" when none does
	sealed     bool
}

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

func (a *App) publishDisk(ctx context.Context, r *scaleway.Runner, c *cluster, d roleDisk, o PublishScalewayOptions) (*PublishedScaleway, error) {
	image := &scaleway.Image{Cluster: c.plan.Cluster, Role: d.role, Version: "v" + strings.TrimPrefix(c.plan.Kubernetes.Version, "v"), Arch: c.plan.OS.Arch,
		Digest: d.digest, Keep: o.Keep, Bucket: o.Bucket}
	if !o.Clean {
		f, err := os.Open(d.path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		a.logf("reading %s", d.path)
		if err := d.fill(image, f); err != nil {
			return nil, fmt.Errorf("%s: %w", d.path, err)
		}
	}
	out := &PublishedScaleway{Role: d.role, Digest: image.Digest}
	seen, err := a.publishImage(ctx, r, image, o, out)
	if err != nil {
		return nil, err
	}
	out.Exists = seen.Summary()
	if !o.Clean {
		out.Image = seen.Available(image.Digest)
	}
	return out, nil
}

// publishImage publishes, or tells what that would do.
func (a *App) publishImage(ctx context.Context, r *scaleway.Runner, image *scaleway.Image, o PublishScalewayOptions, out *PublishedScaleway) (*scaleway.Shelf, error) {
	if !o.Dry {
		watched := *r
		out.Already = true
		watched.Say = func(line string) {
			out.Already = false
			r.Say(line)
		}
		seen, err := watched.Publish(ctx, image)
		return seen, unfinished(err, "run `imgforge publish scaleway` again to go on from here, or with --clean to remove what is half done")
	}
	seen, changes, err := r.PreviewPublish(ctx, image)
	out.Already = len(changes) == 0
	for _, change := range changes {
		if change.Kind != scaleway.UploadPart { // the upload says how many there are
			out.Changes = append(out.Changes, change.String())
		}
	}
	return seen, err
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
