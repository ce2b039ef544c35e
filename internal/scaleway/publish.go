package scaleway

import (
	"fmt"
	"slices"
	"strconv"
)

// Publish lists, in order, what makes an image exist, and what removes all that only
// led to it and the images that are no longer kept. With nothing to publish it only
// removes what was left half done.
func Publish(i *Image, s *Shelf, bucket string) []Change {
	p := &publication{image: i, seen: s, bucket: bucket, dropped: map[string]bool{}}
	if i.Source != nil {
		p.make()
	}
	p.tidyBucket()
	p.tidyImages()
	return p.list
}

type publication struct {
	image  *Image
	seen   *Shelf
	bucket string
	list   []Change
	// What make decided about what is there, and what it will have made.
	found    *SeenImage
	snapshot *SeenSnapshot
	upload   string // ID of the one that goes on
	object   bool   // the object will be there
	dropped  map[string]bool
}

func (p *publication) add(k Kind, name, detail, id string) {
	p.list = append(p.list, Change{Kind: k, Name: name, Detail: detail, ID: id})
}

func (p *publication) drop(k Kind, name, id string) {
	if !p.dropped[id] {
		p.dropped[id] = true
		p.add(k, name, "", id)
	}
}

// make lists what is missing between the file and the image, from the image back.
func (p *publication) make() {
	name := p.image.name()
	p.found = p.seen.image(p.image.Digest)
	if p.found != nil && p.found.State == stateError {
		p.drop(DeleteImage, p.found.Name, p.found.ID)
		p.found = nil
	}
	switch {
	case p.found == nil:
	case p.found.State == stateAvailable:
		return
	default:
		p.add(AwaitImage, p.found.Name, "", p.found.ID)
		return
	}
	p.snapshot = p.seen.snapshot(p.image.Digest)
	if p.snapshot == nil {
		p.putObject()
		p.add(ImportSnapshot, name, fmt.Sprintf("a disk of %d GB", gigabytesOf(p.image.DiskSize)), "")
	}
	if p.snapshot == nil {
		p.add(AwaitSnapshot, name, "", "")
	} else if !p.snapshot.ready() {
		p.add(AwaitSnapshot, name, "", p.snapshot.ID)
	}
	p.add(CreateImage, name, p.image.Arch, "")
	p.add(AwaitImage, name, "", "")
}

// putObject lists what is missing of the object in the bucket.
func (p *publication) putObject() {
	key, source := p.image.key(), p.image.Source
	p.object = true
	for _, o := range p.seen.Objects {
		if o.Key == key && o.Size == source.Size && o.ETag == source.ETag() {
			return
		}
	}
	if !p.seen.Bucket {
		p.add(CreateBucket, p.bucket, "", "")
	}
	var parts map[int]string
	if up := p.longest(); up != nil {
		p.upload, parts = up.ID, up.Parts
	} else {
		p.add(BeginUpload, key, fmt.Sprintf("%d bytes, %d parts", source.Size, len(source.Parts)), "")
	}
	for i, part := range source.Parts {
		if parts[i+1] != part.MD5 {
			_, _, size := source.part(i + 1)
			p.list = append(p.list, Change{Kind: UploadPart, Name: fmt.Sprintf("part %d of %d", i+1, len(source.Parts)), Of: strconv.Itoa(i + 1),
				Detail: fmt.Sprintf("%d bytes", size), ID: p.upload})
		}
	}
	p.add(CompleteUpload, key, "", p.upload)
}

// longest is the upload of which most is there.
func (p *publication) longest() *SeenUpload {
	var found *SeenUpload
	for i := range p.seen.Uploads {
		if u := &p.seen.Uploads[i]; u.Key == p.image.key() && (found == nil || len(u.Parts) > len(found.Parts)) {
			found = u
		}
	}
	return found
}

// tidyBucket lists what empties the role's folder, and removes a bucket that imgforge made.
func (p *publication) tidyBucket() {
	for _, u := range p.seen.Uploads {
		if u.ID != p.upload {
			p.add(AbortUpload, u.Key, "", u.ID)
		}
	}
	removed := false
	for _, o := range p.seen.Objects {
		removed = removed || o.Key == p.image.key()
		p.add(RemoveObject, o.Key, "", "")
	}
	if p.object && !removed {
		p.add(RemoveObject, p.image.key(), "", "")
	}
	if p.image.Bucket == "" && (p.seen.Bucket || p.object) {
		p.add(RemoveBucket, p.bucket, "", "")
	}
}

// tidyImages lists the images that are not kept, with their snapshots, and snapshots
// that no image has. An image that a server was made from stays.
func (p *publication) tidyImages() {
	kept := map[string]bool{} // snapshots
	if p.snapshot != nil {
		kept[p.snapshot.ID] = true
	}
	room := p.image.Keep
	if p.image.Source != nil {
		room-- // for the one that is there, or is made
	}
	images := slices.Clone(p.seen.Images)
	slices.SortStableFunc(images, newestFirst)
	for _, i := range images {
		switch {
		case p.dropped[i.ID]:
		case p.found != nil && i.ID == p.found.ID:
			kept[i.Root] = true
		case p.stays(i, room):
			kept[i.Root] = true
			room--
		default:
			p.drop(DeleteImage, i.Name, i.ID)
		}
	}
	for _, s := range p.seen.Snapshots {
		// One that is on its way and of another digest belongs to a run beside this one.
		if !kept[s.ID] && (s.ready() || s.State == stateError || s.Digest == p.image.Digest || p.image.Source == nil) {
			p.drop(DeleteSnapshot, s.Name, s.ID)
		}
	}
}

// stays tells whether an image that is not the wanted one is kept while there is room
// for so many.
func (p *publication) stays(i SeenImage, room int) bool {
	if p.seen.Used[i.ID] || p.image.Source == nil && i.State != stateError {
		return true
	}
	if i.Digest == p.image.Digest { // twice the same
		return false
	}
	return i.State != stateError && (room > 0 || i.State != stateAvailable)
}

// gigabytesOf rounds up.
func gigabytesOf(size int64) int64 { return (size + 1e9 - 1) / 1e9 }
