package forge

import (
	"context"
	"fmt"
	"os"
	"strings"

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
