package fake

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func snapshotID(s *block.Snapshot) string { return s.ID }
func imageID(i *instance.Image) string    { return i.ID }

func (a *API) handleSnapshots() {
	const snapshots = "/block/v1/zones/{zone}/snapshots"
	a.handle("GET "+snapshots, func(r *http.Request) (any, error) {
		return list(a, r, "snapshots", a.snapshots, snapshotID, func(s *block.Snapshot) []string { return s.Tags })
	})
	a.handle("POST "+snapshots+"/import-from-object-storage", a.importSnapshot)
	a.handle("GET "+snapshots+"/{id}", func(r *http.Request) (any, error) {
		i, ok := find(a.snapshots, r.PathValue("id"), snapshotID)
		if !ok {
			return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
		}
		now := *a.snapshots[i]
		a.goOnImporting(a.snapshots[i])
		return &now, nil
	})
	a.handle("DELETE "+snapshots+"/{id}", a.deleteSnapshot)
}

// importSnapshot reads what a person or tool put into a bucket of the zone's region.
func (a *API) importSnapshot(r *http.Request) (any, error) {
	var req block.ImportSnapshotFromObjectStorageRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(&req.ProjectID); err != nil {
		return nil, err
	}
	b := a.buckets[req.Bucket]
	if b == nil || b.region != string(Region) {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "bucket: %s is no bucket of %s", req.Bucket, Region)
	}
	o := b.objects[req.Key]
	if o == nil {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "key: there is no object %s", req.Key)
	}
	if len(o.data) < 32 || string(o.data[:4]) != "QFI\xfb" {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "key: the object is no qcow2")
	}
	disk := scw.Size(binary.BigEndian.Uint64(o.data[24:]))
	if req.Size != nil && *req.Size < disk {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "size: the disk has %d bytes", disk)
	}
	s := &block.Snapshot{ID: a.id(), Name: req.Name, Size: disk, ProjectID: Project, Tags: req.Tags, Status: block.SnapshotStatusCreating, Zone: Zone}
	a.snapshots = append(a.snapshots, s)
	a.origins[s.ID], a.unheard[s.ID] = o, a.Lag
	return s, nil
}

// goOnImporting lets an import end, well only while its object is still there.
func (a *API) goOnImporting(s *block.Snapshot) {
	if s.Status != block.SnapshotStatusCreating {
		return
	}
	s.Status = block.SnapshotStatusError
	for _, b := range a.buckets {
		for _, o := range b.objects {
			if o == a.origins[s.ID] && !o.bad {
				s.Status = block.SnapshotStatusAvailable
			}
		}
	}
}

func (a *API) deleteSnapshot(r *http.Request) (any, error) {
	i, ok := find(a.snapshots, r.PathValue("id"), snapshotID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
	}
	for _, image := range a.images {
		if image.RootVolume.ID == a.snapshots[i].ID {
			return nil, refuse(http.StatusPreconditionFailed, "precondition_failed", "the snapshot is in use")
		}
	}
	a.snapshots = slices.Delete(a.snapshots, i, i+1)
	return nil, nil
}

func (a *API) handleImages() {
	const images = "/instance/v1/zones/{zone}/images"
	a.handle("GET "+images, func(r *http.Request) (any, error) {
		return list(a, r, "images", a.images, imageID, func(i *instance.Image) []string { return i.Tags })
	})
	a.handle("POST "+images, a.createImage)
	a.handle("GET "+images+"/{id}", func(r *http.Request) (any, error) {
		i, ok := find(a.images, r.PathValue("id"), imageID)
		if !ok {
			return nil, unknown("Image", r.PathValue("id"))
		}
		now := *a.images[i]
		a.images[i].State = instance.ImageStateAvailable
		return map[string]any{"image": &now}, nil
	})
	a.handle("DELETE "+images+"/{id}", func(r *http.Request) (any, error) {
		i, ok := find(a.images, r.PathValue("id"), imageID)
		if !ok {
			return nil, unknown("Image", r.PathValue("id"))
		}
		for _, s := range a.servers {
			if s.Image != nil && s.Image.ID == a.images[i].ID {
				a.mistakes = append(a.mistakes, "image "+a.images[i].Name+" was deleted and "+s.Name+" was made from it")
			}
		}
		a.images = slices.Delete(a.images, i, i+1)
		return nil, nil
	})
}

func (a *API) createImage(r *http.Request) (any, error) {
	var req instance.CreateImageRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(req.Project); err != nil {
		return nil, err
	}
	if req.Arch != instance.ArchX86_64 && req.Arch != instance.ArchArm64 {
		return nil, invalid("arch", "%q is not a valid value", req.Arch)
	}
	i, ok := find(a.snapshots, req.RootVolume, snapshotID)
	if !ok || a.unheard[req.RootVolume] > 0 {
		a.unheard[req.RootVolume]--
		return nil, unknown("Snapshot", req.RootVolume)
	}
	if s := a.snapshots[i]; s.Status != block.SnapshotStatusAvailable {
		return nil, refuse(http.StatusBadRequest, "invalid_request_error", "snapshot is %s", s.Status)
	}
	image := &instance.Image{ID: a.id(), Name: req.Name, Arch: req.Arch, Project: Project, Tags: req.Tags, State: instance.ImageStateCreating, Zone: Zone,
		RootVolume: &instance.VolumeSummary{ID: req.RootVolume, Name: a.snapshots[i].Name, Size: a.snapshots[i].Size, VolumeType: instance.VolumeVolumeTypeSbsSnapshot}}
	made := a.date()
	image.CreationDate = &made
	a.images = append(a.images, image)
	return map[string]any{"image": image}, nil
}

// date is later for whatever is made later.
func (a *API) date() time.Time { return time.Date(2026, 1, 1, 0, 0, a.ids, 0, time.UTC) }

// published is an image that was made here and can be booted from.
func (a *API) published(id string) *instance.Image {
	if i, ok := find(a.images, id, imageID); ok && a.images[i].State == instance.ImageStateAvailable {
		return a.images[i]
	}
	return nil
}

// shelf says what there is of images and what leads to them.
func (a *API) shelf() (out []string) {
	for _, i := range a.images {
		out = append(out, fmt.Sprintf("image %s %s %s of %s, %s", i.Name, i.State, i.Arch, i.RootVolume.Name, strings.Join(i.Tags, " ")))
	}
	for _, s := range a.snapshots {
		out = append(out, fmt.Sprintf("snapshot %s %s %d %s", s.Name, s.Status, s.Size, strings.Join(s.Tags, " ")))
	}
	for name, b := range a.buckets {
		out = append(out, "bucket "+name)
		for key, o := range b.objects {
			out = append(out, fmt.Sprintf("object %s %d", key, len(o.data)))
		}
		for _, u := range b.uploads {
			out = append(out, fmt.Sprintf("upload %s parts:%d", u.key, len(u.parts)))
		}
	}
	return out
}
