package fake

import (
	"encoding/xml"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

type initiated struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	Bucket   string
	Key      string
	UploadID string `xml:"UploadId"`
}

type completed struct {
	XMLName           xml.Name `xml:"CompleteMultipartUploadResult"`
	Bucket, Key, ETag string
}

type listedPart struct {
	PartNumber   int
	ETag         string
	Size         int
	LastModified string
}

type listedParts struct {
	XMLName              xml.Name `xml:"ListPartsResult"`
	IsTruncated          bool
	NextPartNumberMarker int
	Part                 []listedPart
}

type listedUpload struct {
	Key      string
	UploadID string `xml:"UploadId"`
}

type listedUploads struct {
	XMLName            xml.Name `xml:"ListMultipartUploadsResult"`
	IsTruncated        bool
	NextKeyMarker      string
	NextUploadIDMarker string `xml:"NextUploadIdMarker"`
	Upload             []listedUpload
}

type listedObject struct {
	Key          string
	ETag         string
	Size         int
	LastModified string
}

type listedObjects struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	IsTruncated           bool
	NextContinuationToken string
	Contents              []listedObject
}

type listedBucket struct {
	Name, CreationDate string
}

type listedBuckets struct {
	XMLName xml.Name       `xml:"ListAllMyBucketsResult"`
	Bucket  []listedBucket `xml:"Buckets>Bucket"`
}

// listBuckets are those of the project, and not all that it may use.
func (a *API) listBuckets() (out listedBuckets) {
	for _, name := range slices.Sorted(maps.Keys(a.buckets)) {
		if b := a.buckets[name]; !b.foreign && b.region == string(Region) {
			out.Bucket = append(out.Bucket, listedBucket{name, someday})
		}
	}
	return out
}

// someday is when everything in a bucket was changed last.
const someday = "2026-01-01T00:00:00.000Z"

// after cuts what a page begins behind off a sorted list, and tells whether more follows.
func after[T any](sorted []T, behind func(T) bool) (page []T, more bool) {
	rest := slices.DeleteFunc(sorted, func(x T) bool { return !behind(x) })
	return rest[:min(len(rest), pageSize)], len(rest) > pageSize
}

func (u *upload) list(marker string) listedParts {
	from, _ := strconv.Atoi(marker)
	page, more := after(slices.Sorted(maps.Keys(u.parts)), func(n int) bool { return n > from })
	out := listedParts{IsTruncated: more}
	for _, n := range page {
		out.Part = append(out.Part, listedPart{PartNumber: n, ETag: `"` + u.parts[n].etag + `"`, Size: len(u.parts[n].data), LastModified: someday})
		out.NextPartNumberMarker = n
	}
	return out
}

func (b *bucket) listUploads(r *http.Request) listedUploads {
	q := r.URL.Query()
	page, more := after(slices.Sorted(maps.Keys(b.uploads)), func(id string) bool {
		return id > q.Get("upload-id-marker") && strings.HasPrefix(b.uploads[id].key, q.Get("prefix"))
	})
	out := listedUploads{IsTruncated: more}
	for _, id := range page {
		out.Upload = append(out.Upload, listedUpload{Key: b.uploads[id].key, UploadID: id})
		out.NextKeyMarker, out.NextUploadIDMarker = b.uploads[id].key, id
	}
	return out
}

func (b *bucket) listObjects(r *http.Request) listedObjects {
	q := r.URL.Query()
	page, more := after(slices.Sorted(maps.Keys(b.objects)), func(key string) bool {
		return key > q.Get("continuation-token") && strings.HasPrefix(key, q.Get("prefix"))
	})
	out := listedObjects{IsTruncated: more}
	for _, key := range page {
		o := b.objects[key]
		out.Contents = append(out.Contents, listedObject{Key: key, ETag: `"` + o.etag + `"`, Size: len(o.data), LastModified: someday})
		out.NextContinuationToken = key
	}
	return out
}
