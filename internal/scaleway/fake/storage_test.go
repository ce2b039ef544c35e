package fake_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

func storage(t *testing.T, api *fake.API, access, secret, region string) *minio.Core {
	t.Helper()
	server := httptest.NewServer(api.ObjectStorage())
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	core, err := minio.NewCore(u.Host, &minio.Options{Creds: credentials.NewStaticV4(access, secret, ""), Region: region, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	return core
}

// Object Storage checks who asks, for which region and project, and what arrives.
func TestStorageRefusals(t *testing.T) {
	api := fake.New()
	making := func(c *minio.Core, region string) error {
		return c.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{Region: region})
	}
	for name, test := range map[string]struct {
		access, secret, region, says string
	}{
		"an unknown key":        {"SCWOTHER", fake.SecretKey, "fr-par", "InvalidAccessKeyId"},
		"a key of other secret": {fake.AccessKey, "wrong", "fr-par", "SignatureDoesNotMatch"},
		"another project":       {fake.AccessKey + "@" + absent, fake.SecretKey, "fr-par", "InvalidAccessKeyId"},
		"another region":        {fake.AccessKey, fake.SecretKey, "nl-ams", "AuthorizationHeaderMalformed"},
	} {
		if err := making(storage(t, api, test.access, test.secret, test.region), test.region); minio.ToErrorResponse(err).Code != test.says {
			t.Errorf("%s: %v", name, err)
		}
	}
	core := storage(t, api, fake.AccessKey+"@"+fake.Project, fake.SecretKey, "fr-par")
	if err := making(core, "fr-par"); err != nil {
		t.Fatal(err)
	}
	id, err := core.NewMultipartUpload(t.Context(), "bucket", "k", minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), core, id, 1001, "x", "x"); err == nil || !strings.Contains(err.Error(), "from 1 to 1000") {
		t.Errorf("part 1001: %v", err)
	}
	if err := put(t.Context(), core, id, 1, "sent", "promised"); minio.ToErrorResponse(err).Code != "XAmzContentSHA256Mismatch" {
		t.Errorf("another body than was signed: %v", err)
	}
	for n := 1; n <= 2; n++ {
		if err := put(t.Context(), core, id, n, "small", "small"); err != nil {
			t.Fatal(err)
		}
	}
	sum := md5.Sum([]byte("small"))
	parts := []minio.CompletePart{{PartNumber: 1, ETag: hex.EncodeToString(sum[:])}, {PartNumber: 2, ETag: hex.EncodeToString(sum[:])}}
	if _, err := core.CompleteMultipartUpload(t.Context(), "bucket", "k", id, parts, minio.PutObjectOptions{}); minio.ToErrorResponse(err).Code != "EntityTooSmall" {
		t.Errorf("small parts: %v", err)
	}
	if err := core.RemoveBucket(t.Context(), "bucket"); minio.ToErrorResponse(err).Code != "BucketNotEmpty" {
		t.Errorf("a bucket with an upload: %v", err)
	}
}

func put(ctx context.Context, core *minio.Core, id string, number int, sent, promised string) error {
	m, h := md5.Sum([]byte(promised)), sha256.Sum256([]byte(promised))
	_, err := core.PutObjectPart(ctx, "bucket", "k", id, number, bytes.NewReader([]byte(sent)), int64(len(sent)),
		minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(m[:]), Sha256Hex: hex.EncodeToString(h[:]), DisableContentSha256: true})
	return err
}
