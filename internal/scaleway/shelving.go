package scaleway

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// shelving is one role's images on their way.
type shelving struct {
	*Client
	image *Image
	seen  *Shelf
	made  map[string]bool // IDs
	gone  map[string]bool
	pause func(context.Context, int) error
}

// failedImage is an image that does not get where it was sent.
type failedImage struct{ text string }

func (e *failedImage) Error() string { return e.text }

// Publish makes an image exist, and removes what led to it and what is no longer kept.
// It returns what exists in the end.
func (r *Runner) Publish(ctx context.Context, i *Image) (*Shelf, error) {
	w := r.shelving(i)
	err := r.run(ctx, w)
	return w.seen, err
}

// PreviewPublish is what exists of a role's images and what [Runner.Publish] would do about it.
func (r *Runner) PreviewPublish(ctx context.Context, i *Image) (*Shelf, []Change, error) {
	w := r.shelving(i)
	changes, err := r.preview(ctx, w)
	return w.seen, changes, err
}

func (r *Runner) shelving(i *Image) *shelving {
	return &shelving{Client: r.Client, image: i, made: map[string]bool{}, gone: map[string]bool{}, pause: r.Pause}
}

// Available is the ID of the image with a digest, "" when there is none to boot from.
func (s *Shelf) Available(digest string) string {
	if i := s.image(digest); i != nil && i.State == stateAvailable {
		return i.ID
	}
	return ""
}

func (w *shelving) next() ([]Change, error) { return Publish(w.image, w.seen, w.bucket()), nil }
func (w *shelving) exists() string          { return w.seen.Summary() }
func (w *shelving) name() string            { return w.image.name() }

func (w *shelving) tag() string {
	return ClusterTag + w.image.Cluster + " and " + RoleTag + w.image.Role + ", and in bucket " + w.bucket()
}

func (w *shelving) bucket() string {
	if w.image.Bucket != "" {
		return w.image.Bucket
	}
	return ownBucket(w.project, string(w.region), w.image)
}

// observe looks once and adds what this run knows better than lists do.
func (w *shelving) observe(ctx context.Context) error {
	seen := &Shelf{Used: map[string]bool{}}
	for _, step := range []struct {
		what string
		look func(context.Context, *Shelf) error
	}{{"snapshots", w.lookSnapshots}, {"images", w.lookImages}, {"servers", w.lookServers}, {"objects", w.lookBucket}} {
		if err := step.look(ctx, seen); err != nil {
			return fmt.Errorf("list %s: %w", step.what, err)
		}
	}
	if w.seen != nil {
		seen.Images = kept(seen.Images, w.seen.Images, w.made, func(x SeenImage) string { return x.ID })
		seen.Snapshots = kept(seen.Snapshots, w.seen.Snapshots, w.made, func(x SeenSnapshot) string { return x.ID })
	}
	seen.drop(w.gone)
	w.seen = seen
	return nil
}

func (s *Shelf) drop(gone map[string]bool) {
	s.Images = slices.DeleteFunc(s.Images, func(x SeenImage) bool { return gone[x.ID] })
	s.Snapshots = slices.DeleteFunc(s.Snapshots, func(x SeenSnapshot) bool { return gone[x.ID] })
}

func (w *shelving) lookImages(ctx context.Context, seen *Shelf) error {
	res, err := w.instance.ListImages(&instance.ListImagesRequest{Zone: w.zone, Project: &w.project, Tags: scw.StringPtr(ClusterTag + w.image.Cluster)}, all(ctx)...)
	if err != nil {
		return err
	}
	for _, i := range res.Images {
		if w.image.owns(i.Tags) && i.Project == w.project {
			seen.Images = append(seen.Images, seenImage(i))
		}
	}
	return nil
}

func seenImage(i *instance.Image) SeenImage {
	out := SeenImage{ID: i.ID, Name: i.Name, Digest: tagged(i.Tags, DigestTag), State: string(i.State)}
	if i.RootVolume != nil {
		out.Root = i.RootVolume.ID
	}
	if i.CreationDate != nil {
		out.Created = *i.CreationDate
	}
	return out
}

func (w *shelving) lookSnapshots(ctx context.Context, seen *Shelf) error {
	res, err := w.block.ListSnapshots(&block.ListSnapshotsRequest{Zone: w.zone, ProjectID: &w.project, Tags: []string{ClusterTag + w.image.Cluster}}, all(ctx)...)
	if err != nil {
		return err
	}
	for _, s := range res.Snapshots {
		if w.image.owns(s.Tags) && s.Status != block.SnapshotStatusDeleted && s.Status != block.SnapshotStatusDeleting {
			seen.Snapshots = append(seen.Snapshots, seenSnapshot(s))
		}
	}
	return nil
}

func seenSnapshot(s *block.Snapshot) SeenSnapshot {
	return SeenSnapshot{ID: s.ID, Name: s.Name, Digest: tagged(s.Tags, DigestTag), State: string(s.Status)}
}

// lookServers notes which images servers were made from, whosever they are.
func (w *shelving) lookServers(ctx context.Context, seen *Shelf) error {
	res, err := w.instance.ListServers(&instance.ListServersRequest{Zone: w.zone, Project: &w.project}, all(ctx)...)
	if err != nil {
		return err
	}
	for _, s := range res.Servers {
		if s.Image != nil {
			seen.Used[s.Image.ID] = true
		}
	}
	return nil
}

// perform carries out one change and notes in w.seen what came of it.
func (w *shelving) perform(ctx context.Context, c Change) error {
	switch c.Kind {
	case UploadPart:
		number, err := strconv.Atoi(c.Of)
		if err != nil {
			return stray(c)
		}
		return w.uploadPart(ctx, c, number)
	case CompleteUpload:
		return w.completeUpload(ctx, c)
	case AwaitSnapshot:
		return w.awaitSnapshot(ctx)
	case AwaitImage:
		return w.awaitImage(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, w.limits.call)
	defer cancel()
	switch c.Kind {
	case CreateBucket:
		return w.createBucket(ctx)
	case BeginUpload:
		return w.beginUpload(ctx)
	case AbortUpload:
		return w.abortUpload(ctx, c)
	case RemoveObject:
		return w.removeObject(ctx, c)
	case RemoveBucket:
		return w.removeBucket(ctx)
	case ImportSnapshot:
		return w.importSnapshot(ctx)
	case CreateImage:
		return w.createImage(ctx)
	case DeleteImage:
		return w.remove(c, w.instance.DeleteImage(&instance.DeleteImageRequest{Zone: w.zone, ImageID: c.ID}, scw.WithContext(ctx)))
	case DeleteSnapshot:
		return w.remove(c, w.block.DeleteSnapshot(&block.DeleteSnapshotRequest{Zone: w.zone, SnapshotID: c.ID}, scw.WithContext(ctx)))
	}
	return stray(c)
}

// remove notes what is gone; what was gone already counts as removed.
func (w *shelving) remove(c Change, err error) error {
	if err != nil && !absent(err) {
		return err
	}
	w.gone[c.ID] = true
	w.seen.drop(w.gone)
	return nil
}
