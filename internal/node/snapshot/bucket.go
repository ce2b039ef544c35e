package snapshot

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/imgforge/imgforge/internal/artifact"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// Bucket is a folder of snapshots on an S3 server. A server shows an object once all
// of it is there, so that nothing in it is half.
type Bucket struct {
	client       *minio.Client
	name, prefix string
	settled      form.Name // what was last seen to be there
}

// OpenBucket reads the keys of a bucket below root; without a bucket it returns nil.
func OpenBucket(root string, s *artifact.S3) (*Bucket, error) {
	if s == nil {
		return nil, nil
	}
	data, err := os.ReadFile(filepath.Join(root, artifact.S3KeysPath))
	if err != nil {
		return nil, fmt.Errorf("read the keys of the bucket: %w", err)
	}
	keys, err := artifact.ParseS3Keys(data)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no URL of an S3 server", s.Endpoint)
	}
	transport, err := minio.DefaultTransport(u.Scheme == "https")
	if err != nil {
		return nil, err
	}
	if s.CA != "" {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(s.CA)) {
			return nil, errors.New("etcd.snapshot.s3.ca holds no certificate")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	client, err := minio.New(u.Host, &minio.Options{Creds: credentials.NewStaticV4(keys.AccessKey, keys.SecretKey, ""), Secure: u.Scheme == "https",
		Region: s.Region, Transport: transport, MaxRetries: 3})
	if err != nil {
		return nil, fmt.Errorf("S3 server %s: %w", s.Endpoint, err)
	}
	return &Bucket{client: client, name: s.Bucket, prefix: strings.Trim(s.Prefix, "/")}, nil
}

func (b *Bucket) key(name string) string { return path.Join(b.prefix, name) }

// list are the snapshots in the bucket, from old to new.
func (b *Bucket) list(ctx context.Context) (out []form.Name, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // the listing ends with it
	prefix := b.prefix
	if prefix != "" {
		prefix += "/"
	}
	for o := range b.client.ListObjects(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list bucket %s: %w", b.name, o.Err)
		}
		if n, ok := form.ParseName(strings.TrimPrefix(o.Key, prefix)); ok {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, form.Name.Compare)
	return out, nil
}

// put uploads a file and asks whether all of it is there.
func (b *Bucket) put(ctx context.Context, file string, n form.Name) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := b.client.PutObject(ctx, b.name, b.key(n.String()), f, info.Size(), minio.PutObjectOptions{ContentType: "application/octet-stream"}); err != nil {
		return fmt.Errorf("upload to bucket %s: %w", b.name, err)
	}
	there, err := b.client.StatObject(ctx, b.name, b.key(n.String()), minio.StatObjectOptions{})
	if err != nil {
		return fmt.Errorf("look at what was uploaded to bucket %s: %w", b.name, err)
	}
	if there.Size != info.Size() {
		return fmt.Errorf("bucket %s has %d bytes of %d", b.name, there.Size, info.Size())
	}
	return nil
}

// sync uploads the newest snapshot unless it is there, and removes what the rule does
// not keep. What is there already is not asked for again. Later ones, such as those of
// the future, stay and take the place of no other.
func (b *Bucket) sync(ctx context.Context, folder string, newest form.Name, rule form.Rule) error {
	if b.settled == newest {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, most) // a server that takes no byte must not end all snapshots
	defer cancel()
	names, err := b.list(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(names, newest) {
		if err := b.put(ctx, filepath.Join(folder, newest.String()), newest); err != nil {
			return err
		}
		names = append(names, newest)
	}
	names = slices.DeleteFunc(names, func(n form.Name) bool { return n.Compare(newest) > 0 })
	for _, n := range rule.Surplus(names) {
		if err := b.client.RemoveObject(ctx, b.name, b.key(n.String()), minio.RemoveObjectOptions{}); err != nil {
			return fmt.Errorf("remove an old snapshot from bucket %s: %w", b.name, err)
		}
	}
	b.settled = newest
	return nil
}

// Get writes the object of an s3 URL; its last part latest.db.age stands for the
// newest snapshot beside it, unless another one holds more. The bucket may be another one of the same server.
func (b *Bucket) Get(ctx context.Context, from *url.URL, to io.Writer) error {
	other := *b
	key := strings.Trim(from.Path, "/")
	other.name, other.prefix = from.Host, strings.Trim(path.Dir("/"+key), "/")
	if path.Base(key) == form.Latest {
		names, err := other.list(ctx)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			return fmt.Errorf("bucket %s has no snapshot in %q", other.name, other.prefix)
		}
		latest := names[len(names)-1]
		if err := latest.Confirm(names); err != nil {
			return err
		}
		key = other.key(latest.String())
	}
	o, err := b.client.GetObject(ctx, other.name, key, minio.GetObjectOptions{})
	if err != nil {
		return fmt.Errorf("get %s from bucket %s: %w", key, other.name, err)
	}
	defer o.Close()
	if _, err := io.Copy(to, o); err != nil {
		return fmt.Errorf("get %s from bucket %s: %w", key, other.name, err)
	}
	return nil
}

// Fetch writes what an https URL answers. Its errors do not hold the URL, whose query
// may be what opens it.
func Fetch(ctx context.Context, from string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}
