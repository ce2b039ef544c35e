package fake

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// bucket is a bucket of Object Storage, bound to a region.
type bucket struct {
	region  string
	foreign bool // somebody else's, who lets everybody in
	objects map[string]*object
	uploads map[string]*upload // by ID
}

type object struct {
	data []byte
	etag string
	bad  bool // a snapshot made of it fails
}

type upload struct {
	key   string
	parts map[int]*object
}

// maxParts is how many parts an upload may have; elsewhere it is ten times as many.
const maxParts = 1000

// storageError is how Object Storage refuses.
type storageError struct {
	status int
	code   string
	text   string
}

func inXML(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, text)
}

// ObjectStorage serves the region's buckets, path-style. Its calls are counted and go
// wrong together with those of the other APIs.
func (a *API) ObjectStorage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.serve(w, r, http.HandlerFunc(a.storage), inXML)
	})
}

func (a *API) storage(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	wrong := signed(r, data)
	var res any
	if wrong == nil {
		res, wrong = a.inStorage(w, r, data)
	}
	switch {
	case wrong != nil:
		inXML(w, wrong.status, wrong.code, wrong.text)
	case res != nil:
		w.Header().Set("Content-Type", "application/xml")
		xml.NewEncoder(w).Encode(res)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	}
}

// inStorage does what one request asks for; what it answers besides headers is XML.
func (a *API) inStorage(w http.ResponseWriter, r *http.Request, data []byte) (any, *storageError) {
	name, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := r.URL.Query()
	if r.Method == http.MethodGet && name == "" {
		return a.listBuckets(), nil
	}
	if r.Method == http.MethodPut && key == "" {
		return nil, a.makeBucket(name, data)
	}
	b := a.buckets[name]
	if b == nil || b.region != string(Region) {
		return nil, &storageError{http.StatusNotFound, "NoSuchBucket", "there is no bucket " + name}
	}
	if key == "" {
		return a.inBucket(r, name, b)
	}
	if r.Method == http.MethodPost && q.Has("uploads") {
		id := a.id()
		b.uploads[id] = &upload{key: key, parts: map[int]*object{}}
		return initiated{Bucket: name, Key: key, UploadID: id}, nil
	}
	if !q.Has("uploadId") {
		if r.Method != http.MethodDelete {
			return nil, &storageError{http.StatusNotImplemented, "NotImplemented", "the fake has no " + r.Method}
		}
		delete(b.objects, key)
		return nil, nil
	}
	u := b.uploads[q.Get("uploadId")]
	if u == nil || u.key != key {
		return nil, &storageError{http.StatusNotFound, "NoSuchUpload", "there is no such upload"}
	}
	switch r.Method {
	case http.MethodPut:
		return nil, u.put(w, r, data)
	case http.MethodGet:
		return u.list(q.Get("part-number-marker")), nil
	case http.MethodDelete:
		delete(b.uploads, q.Get("uploadId"))
		return nil, nil
	}
	done, err := u.complete(data, a.MinPart)
	if err != nil {
		return nil, err
	}
	delete(b.uploads, q.Get("uploadId"))
	b.objects[key] = done
	return completed{Bucket: name, Key: key, ETag: `"` + done.etag + `"`}, nil
}

func (a *API) makeBucket(name string, data []byte) *storageError {
	var req struct{ LocationConstraint string }
	if err := xml.Unmarshal(data, &req); err != nil || req.LocationConstraint != string(Region) {
		return &storageError{http.StatusBadRequest, "IllegalLocationConstraintException", "the region is " + string(Region)}
	}
	if b := a.buckets[name]; b != nil && b.foreign {
		return &storageError{http.StatusConflict, "BucketAlreadyExists", "the name is taken"}
	}
	if a.buckets[name] != nil {
		return &storageError{http.StatusConflict, "BucketAlreadyOwnedByYou", "you have it already"}
	}
	a.addBucket(name, string(Region))
	return nil
}

func (a *API) addBucket(name, region string) *bucket {
	a.buckets[name] = &bucket{region: region, objects: map[string]*object{}, uploads: map[string]*upload{}}
	return a.buckets[name]
}

func (a *API) inBucket(r *http.Request, name string, b *bucket) (any, *storageError) {
	switch {
	case r.Method == http.MethodDelete && len(b.objects)+len(b.uploads) > 0:
		return nil, &storageError{http.StatusConflict, "BucketNotEmpty", "the bucket is not empty"}
	case r.Method == http.MethodDelete:
		delete(a.buckets, name)
		return nil, nil
	case r.URL.Query().Has("uploads"):
		return b.listUploads(r), nil
	}
	return b.listObjects(r), nil
}

// put takes one part when it is what its checksum says.
func (u *upload) put(w http.ResponseWriter, r *http.Request, data []byte) *storageError {
	number, err := strconv.Atoi(r.URL.Query().Get("partNumber"))
	if err != nil || number < 1 || number > maxParts {
		return &storageError{http.StatusBadRequest, "InvalidArgument", fmt.Sprintf("part numbers go from 1 to %d", maxParts)}
	}
	sum := md5.Sum(data)
	if want := r.Header.Get("Content-Md5"); want != "" && want != base64.StdEncoding.EncodeToString(sum[:]) {
		return &storageError{http.StatusBadRequest, "BadDigest", "the body is not what its MD5 says"}
	}
	u.parts[number] = &object{data: data, etag: hex.EncodeToString(sum[:])}
	w.Header().Set("ETag", `"`+u.parts[number].etag+`"`)
	return nil
}

// complete puts the parts together that the request names.
func (u *upload) complete(data []byte, least int) (*object, *storageError) {
	var req struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(data, &req); err != nil || len(req.Part) == 0 {
		return nil, &storageError{http.StatusBadRequest, "MalformedXML", "no parts are named"}
	}
	var whole, sums bytes.Buffer
	for i, p := range req.Part {
		part := u.parts[p.PartNumber]
		if part == nil || part.etag != strings.Trim(p.ETag, `"`) {
			return nil, &storageError{http.StatusBadRequest, "InvalidPart", fmt.Sprintf("part %d is not there", p.PartNumber)}
		}
		if i < len(req.Part)-1 && len(part.data) < least {
			return nil, &storageError{http.StatusBadRequest, "EntityTooSmall", fmt.Sprintf("part %d is too small", p.PartNumber)}
		}
		whole.Write(part.data)
		sum, _ := hex.DecodeString(part.etag)
		sums.Write(sum)
	}
	sum := md5.Sum(sums.Bytes())
	return &object{data: whole.Bytes(), etag: fmt.Sprintf("%s-%d", hex.EncodeToString(sum[:]), len(req.Part))}, nil
}
