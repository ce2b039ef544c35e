package scaleway

import (
	"context"
	"fmt"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// importLooks bounds how often a snapshot or an image is looked at in one wait: with
// the pauses between them about an hour.
const importLooks = 240

// importSnapshot has the Block API read the object; the Instance API's own import is
// no more. The object has to lie in the region of the zone.
func (w *shelving) importSnapshot(ctx context.Context) error {
	size := gigabytes(int(gigabytesOf(w.image.DiskSize)))
	s, err := w.block.ImportSnapshotFromObjectStorage(&block.ImportSnapshotFromObjectStorageRequest{Zone: w.zone, Bucket: w.bucket(), Key: w.image.key(),
		Name: w.image.name(), ProjectID: w.project, Tags: w.image.tags(), Size: &size}, scw.WithContext(ctx))
	if err != nil {
		return err
	}
	w.made[s.ID] = true
	w.seen.Snapshots = append(w.seen.Snapshots, seenSnapshot(s))
	return nil
}

func (w *shelving) awaitSnapshot(ctx context.Context) error {
	s := w.seen.snapshot(w.image.Digest)
	if s == nil {
		return fmt.Errorf("the snapshot is not there any more")
	}
	for look := range importLooks {
		now, err := w.block.GetSnapshot(&block.GetSnapshotRequest{Zone: w.zone, SnapshotID: s.ID}, scw.WithContext(ctx))
		if err != nil && !absent(err) { // one that was made a moment ago may show late
			return err
		}
		if err == nil {
			s.State = string(now.Status)
		}
		switch {
		case s.State == stateError:
			return &failedImage{"the provider could not import the disk, and does not say why; the next run removes snapshot " + s.ID + " and imports anew"}
		case s.ready():
			return nil
		}
		if err := w.pause(ctx, look); err != nil {
			return err
		}
	}
	return &failedImage{"the snapshot is still " + s.State}
}

func (w *shelving) createImage(ctx context.Context) error {
	s := w.seen.snapshot(w.image.Digest)
	if s == nil {
		return fmt.Errorf("the snapshot is not there any more")
	}
	arch := instance.ArchX86_64
	if w.image.Arch == "arm64" {
		arch = instance.ArchArm64
	}
	res, err := w.instance.CreateImage(&instance.CreateImageRequest{Zone: w.zone, Name: w.image.name(), RootVolume: s.ID, Arch: arch,
		Project: &w.project, Tags: w.image.tags(), Public: scw.BoolPtr(false)}, scw.WithContext(ctx))
	if absent(err) { // the Instance API may hear of snapshots late
		return fmt.Errorf("the snapshot is not known yet: %v", err)
	}
	if err != nil {
		return err
	}
	w.made[res.Image.ID] = true
	w.seen.Images = append(w.seen.Images, seenImage(res.Image))
	return nil
}

func (w *shelving) awaitImage(ctx context.Context) error {
	i := w.seen.image(w.image.Digest)
	if i == nil {
		return fmt.Errorf("the image is not there any more")
	}
	for look := range importLooks {
		now, err := w.instance.GetImage(&instance.GetImageRequest{Zone: w.zone, ImageID: i.ID}, scw.WithContext(ctx))
		if err != nil && !absent(err) {
			return err
		}
		if err == nil {
			i.State = string(now.Image.State)
		}
		switch i.State {
		case stateError:
			return &failedImage{"the provider could not make the image, and does not say why; the next run removes image " + i.ID + " and makes it anew"}
		case stateAvailable:
			return nil
		}
		if err := w.pause(ctx, look); err != nil {
			return err
		}
	}
	return &failedImage{"the image is still " + i.State}
}
