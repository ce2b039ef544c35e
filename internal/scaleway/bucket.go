package scaleway

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// partTimeout bounds the upload of one part.
const partTimeout = 20 * time.Minute

// storageURL names another server of the S3 protocol than the region's, as
// SCW_API_URL does for the other APIs.
const storageURL = "SCW_S3_URL"

// objectStorage opens the region's Object Storage. The protocol knows no project: the
// one behind the @ takes the place of the key's own.
func objectStorage(profile *scw.Profile, region scw.Region) (*minio.Core, error) {
	at := "https://s3." + string(region) + ".scw.cloud"
	if other := os.Getenv(storageURL); other != "" {
		at = other
	}
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s=%q is no URL", storageURL, at)
	}
	core, err := minio.NewCore(u.Host, &minio.Options{Creds: credentials.NewStaticV4(*profile.AccessKey+"@"+*profile.DefaultProjectID, *profile.SecretKey, ""),
		Secure: u.Scheme == "https", Region: string(region), BucketLookup: minio.BucketLookupPath, MaxRetries: 1})
	if err != nil {
		return nil, fmt.Errorf("object storage %s: %w", at, err)
	}
	return core, nil
}

// refusedForGood tells a refusal of Object Storage that will be the same next time. A
// bucket or an upload that is not there any more calls for another look.
func refusedForGood(r minio.ErrorResponse) bool {
	switch r.Code {
	case minio.NoSuchBucket, noSuchUpload, minio.NoSuchKey, "RequestTimeout", "SlowDown", "OperationAborted":
		return false
	}
	switch r.StatusCode {
	case http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusLocked, http.StatusTooEarly, http.StatusTooManyRequests:
		return false
	}
	return r.StatusCode >= 400 && r.StatusCode < 500
}

const noSuchUpload = "NoSuchUpload"

// code is the word by which Object Storage refuses, "" for another error.
func code(err error) string { return minio.ToErrorResponse(err).Code }

// lookBucket lists objects and unfinished uploads below the image's folder.
func (w *shelving) lookBucket(ctx context.Context, seen *Shelf) error {
	ctx, cancel := context.WithTimeout(ctx, w.limits.call)
	defer cancel() // the listing ends with it
	bucket, folder := w.bucket(), w.image.folder()
	if ours, err := w.ownsBucket(ctx); err != nil || !ours {
		return err
	}
	for o := range w.store.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: folder, Recursive: true}) {
		if code(o.Err) == minio.NoSuchBucket {
			return nil
		}
		if o.Err != nil {
			return fmt.Errorf("list bucket %s: %w", bucket, o.Err)
		}
		seen.Objects = append(seen.Objects, SeenObject{Key: o.Key, Size: o.Size, ETag: strings.Trim(o.ETag, `"`)})
	}
	seen.Bucket = true
	for key, id := "", ""; ; {
		res, err := w.store.ListMultipartUploads(ctx, bucket, folder, key, id, "", 0)
		if err != nil {
			return fmt.Errorf("list uploads to bucket %s: %w", bucket, err)
		}
		for _, u := range res.Uploads {
			up := SeenUpload{Key: u.Key, ID: u.UploadID}
			if err := w.lookParts(ctx, &up); err != nil {
				return fmt.Errorf("list what is uploaded to bucket %s: %w", bucket, err)
			}
			seen.Uploads = append(seen.Uploads, up)
		}
		if !res.IsTruncated {
			return nil
		}
		key, id = res.NextKeyMarker, res.NextUploadIDMarker
	}
}

// ownsBucket tells whether the bucket is there and to be used. The name of one that
// imgforge makes can be foreseen, and anybody may have made it first and let us in, to
// read disks or to exchange them: only the project's own list tells. One that you named is yours.
func (w *shelving) ownsBucket(ctx context.Context) (bool, error) {
	if w.image.Bucket != "" {
		return true, nil
	}
	buckets, err := w.store.Client.ListBuckets(ctx)
	if err != nil {
		return false, fmt.Errorf("list the project's buckets, which the key has to be allowed: %w", err)
	}
	return slices.ContainsFunc(buckets, func(b minio.BucketInfo) bool { return b.Name == w.bucket() }), nil
}

func (w *shelving) lookParts(ctx context.Context, up *SeenUpload) error {
	if w.image == nil || up.Key != w.image.key() {
		return nil // it is going to be aborted
	}
	up.Parts = map[int]string{}
	for after := 0; ; {
		res, err := w.store.ListObjectParts(ctx, w.bucket(), up.Key, up.ID, after, 0)
		if code(err) == noSuchUpload {
			return nil // completed or aborted a moment ago
		}
		if err != nil {
			return err
		}
		for _, p := range res.ObjectParts {
			up.Parts[p.PartNumber] = strings.Trim(p.ETag, `"`)
		}
		if !res.IsTruncated || res.NextPartNumberMarker <= after {
			return nil
		}
		after = res.NextPartNumberMarker
	}
}

func (w *shelving) createBucket(ctx context.Context) error {
	err := w.store.MakeBucket(ctx, w.bucket(), minio.MakeBucketOptions{Region: string(w.region)})
	if code(err) == minio.BucketAlreadyExists {
		return &failedImage{fmt.Sprintf("another owner has a bucket %s, and what is uploaded there is in other hands: name one of yours with --bucket", w.bucket())}
	}
	if err != nil { // BucketAlreadyOwnedByYou too: the project's list will show it
		return err
	}
	w.seen.Bucket = true
	return nil
}

func (w *shelving) beginUpload(ctx context.Context) error {
	id, err := w.store.NewMultipartUpload(ctx, w.bucket(), w.image.key(), minio.PutObjectOptions{ContentType: "application/octet-stream"})
	if err != nil {
		return err
	}
	w.seen.Uploads = append(w.seen.Uploads, SeenUpload{Key: w.image.key(), ID: id, Parts: map[int]string{}})
	return nil
}

// uploadPart sends one part with both of its checksums; the server compares them.
func (w *shelving) uploadPart(ctx context.Context, c Change, number int) error {
	up := w.seen.upload(c.ID)
	if up == nil {
		return stray(c)
	}
	ctx, cancel := context.WithTimeout(ctx, w.limits.part)
	defer cancel()
	part, from, size := w.image.Source.part(number)
	sum, err := hex.DecodeString(part.MD5)
	if err != nil {
		return err
	}
	there, err := w.store.PutObjectPart(ctx, w.bucket(), up.Key, up.ID, number, io.NewSectionReader(w.image.Source.File, from, size), size,
		minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(sum), Sha256Hex: part.SHA256, DisableContentSha256: true})
	if err != nil {
		return err
	}
	if got := strings.Trim(there.ETag, `"`); got != part.MD5 {
		return &failedImage{fmt.Sprintf("the bucket calls part %d %q and not by its MD5, so that nothing tells whether it is whole: name another bucket with --bucket, one without encryption by a key of yours", number, got)}
	}
	up.Parts[number] = part.MD5
	return nil
}

func (w *shelving) completeUpload(ctx context.Context, c Change) error {
	up := w.seen.upload(c.ID)
	if up == nil {
		return stray(c)
	}
	ctx, cancel := context.WithTimeout(ctx, w.limits.part) // the server puts the parts together
	defer cancel()
	var parts []minio.CompletePart
	for i, p := range w.image.Source.Parts {
		parts = append(parts, minio.CompletePart{PartNumber: i + 1, ETag: p.MD5})
	}
	res, err := w.store.CompleteMultipartUpload(ctx, w.bucket(), up.Key, up.ID, parts, minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	if got := strings.Trim(res.ETag, `"`); got != w.image.Source.ETag() {
		return &failedImage{fmt.Sprintf("the bucket has %s as %q, and %q was uploaded: somebody writes to it at the same time", up.Key, got, w.image.Source.ETag())}
	}
	w.seen.Objects = append(w.seen.Objects, SeenObject{Key: up.Key, Size: w.image.Source.Size, ETag: w.image.Source.ETag()})
	w.seen.forget(up.ID)
	return nil
}

func (w *shelving) abortUpload(ctx context.Context, c Change) error {
	if err := w.store.AbortMultipartUpload(ctx, w.bucket(), c.Name, c.ID); err != nil && code(err) != noSuchUpload && code(err) != minio.NoSuchBucket {
		return err
	}
	w.seen.forget(c.ID)
	return nil
}

func (w *shelving) removeObject(ctx context.Context, c Change) error {
	if err := w.store.RemoveObject(ctx, w.bucket(), c.Name, minio.RemoveObjectOptions{}); err != nil && code(err) != minio.NoSuchBucket {
		return err
	}
	w.seen.forgetObject(c.Name)
	return nil
}

func (w *shelving) removeBucket(ctx context.Context) error {
	if err := w.store.RemoveBucket(ctx, w.bucket()); err != nil && code(err) != minio.NoSuchBucket {
		return err
	}
	w.seen.Bucket = false
	return nil
}
