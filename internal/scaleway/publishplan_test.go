package scaleway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/scaleway"
)

// What is there already decides what is still to be done.
func TestPublishPlan(t *testing.T) {
	i := image(t, "PAYLOAD one")
	key := "imgforge/nostromo/worker/" + i.Digest[7:23] + ".qcow2"
	parts := func(numbers ...int) map[int]string {
		out := map[int]string{}
		for _, n := range numbers {
			out[n] = i.Source.Parts[n-1].MD5
		}
		return out
	}
	garbled := parts(1, 2, 3, 4, 5, 6, 7)
	garbled[3] = strings.Repeat("0", 32)
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	old := func(n int) scaleway.SeenImage {
		name := string(rune('a' + n))
		return scaleway.SeenImage{ID: name, Name: name, Digest: name, Root: "s" + name, State: "available", Created: day(n)}
	}
	made := scaleway.SeenImage{ID: "m", Name: "made", Digest: i.Digest, Root: "sm", State: "available", Created: day(1)}
	finish := "import,wait,create image,wait,remove object,remove bucket"
	for name, test := range map[string]struct {
		seen scaleway.Shelf
		want string
	}{
		"a part that is not what the file has is sent again": {scaleway.Shelf{Bucket: true, Uploads: []scaleway.SeenUpload{{Key: key, ID: "u", Parts: garbled}}},
			"upload part 3 of 7,complete,import,wait,create image,wait,remove object,remove bucket"},
		"the upload of which most is there goes on": {scaleway.Shelf{Bucket: true, Uploads: []scaleway.SeenUpload{{Key: key, ID: "u1", Parts: parts(1)}, {Key: key, ID: "u2", Parts: parts(1, 2, 3, 4, 5, 6)}}},
			"upload part 7 of 7,complete,import,wait,create image,wait,abort u1,remove object,remove bucket"},
		"an object that is whole is imported":     {scaleway.Shelf{Bucket: true, Objects: []scaleway.SeenObject{{Key: key, Size: i.Source.Size, ETag: i.Source.ETag()}}}, finish},
		"a snapshot on its way is waited for":     {scaleway.Shelf{Snapshots: []scaleway.SeenSnapshot{{ID: "s", Digest: i.Digest, State: "creating"}}}, "wait,create image,wait"},
		"a snapshot that is twice there goes":     {scaleway.Shelf{Snapshots: []scaleway.SeenSnapshot{{ID: "s1", Digest: i.Digest, State: "creating"}, {ID: "s2", Digest: i.Digest, State: "available"}}}, "create image,wait,delete snapshot s1"},
		"another run's snapshot is left to it":    {scaleway.Shelf{Images: []scaleway.SeenImage{made}, Snapshots: []scaleway.SeenSnapshot{{ID: "sm", State: "available"}, {ID: "s", Digest: "other", State: "creating"}}}, ""},
		"an image that could not be made goes":    {scaleway.Shelf{Images: []scaleway.SeenImage{{ID: "e", Name: "e", Digest: "other", State: "error"}, made}}, "delete image e"},
		"an image from before the newest stays":   {scaleway.Shelf{Images: []scaleway.SeenImage{old(5), old(6), made, old(4)}}, "delete image e"},
		"an image that a server uses stays":       {scaleway.Shelf{Images: []scaleway.SeenImage{old(5), old(6), old(2), made, old(4)}, Used: map[string]bool{"c": true}}, "delete image e"},
		"what an older run left in a bucket goes": {scaleway.Shelf{Images: []scaleway.SeenImage{made}, Bucket: true, Objects: []scaleway.SeenObject{{Key: "x"}}, Uploads: []scaleway.SeenUpload{{Key: "y", ID: "u"}}}, "abort u,remove object,remove bucket"},
	} {
		var got []string
		for _, c := range scaleway.Publish(i, &test.seen, "bucket") {
			got = append(got, brief(c))
		}
		if text := strings.Join(got, ","); text != test.want {
			t.Errorf("%s:\n%s\nand not:\n%s", name, text, test.want)
		}
	}
}

// brief is a change in the fewest words that tell it from the others.
func brief(c scaleway.Change) string {
	switch c.Kind {
	case scaleway.UploadPart:
		return "upload " + c.Name
	case scaleway.AbortUpload:
		return "abort " + c.ID
	case scaleway.DeleteImage, scaleway.DeleteSnapshot:
		return string(c.Kind) + " " + c.ID
	case scaleway.CreateImage, scaleway.RemoveObject, scaleway.RemoveBucket:
		return string(c.Kind)
	}
	first, _, _ := strings.Cut(string(c.Kind), " ")
	return first
}
