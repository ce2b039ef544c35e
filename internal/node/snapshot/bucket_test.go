package snapshot

import (
	"bytes"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	form "github.com/imgforge/imgforge/internal/snapshot"
	"github.com/imgforge/imgforge/internal/testtool"
)

// serveS3 runs a real S3 server whose buckets are folders.
func serveS3(t *testing.T, buckets ...string) (endpoint, folder string) {
	t.Helper()
	endpoint, folder = testtool.S3(t, "AKTEST", "SKTEST")
	for _, b := range buckets {
		if err := os.Mkdir(filepath.Join(folder, b), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return endpoint, folder
}

func (s *standIn) useBucket(t *testing.T, b artifact.S3, secret string) {
	t.Helper()
	keys, err := artifact.EncodeS3Keys(artifact.S3Keys{AccessKey: "AKTEST", SecretKey: secret})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.o.Root, artifact.S3KeysPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	if s.bucket, err = OpenBucket(s.o.Root, &b); err != nil {
		t.Fatal(err)
	}
}

// A real S3 server takes snapshots, gives the newest back, and keeps what the rule
// keeps and what is not ours. Refusals have a code, and the disk's own stay.
func TestBucket(t *testing.T) {
	endpoint, folder := serveS3(t, "nostromo-etcd")
	where := artifact.S3{Endpoint: endpoint, Region: "fr-par", Bucket: "nostromo-etcd", Prefix: "backups/nostromo"}
	s := newStandIn(t)
	s.plan.Last, s.plan.Daily = 3, 0
	s.useBucket(t, where, "wrong")
	begun := s.now
	s.waitFor(t, "533 snapshot-bucket")
	if strings.Contains(strings.Join(s.report.texts, "\n"), "wrong") {
		t.Error("a key is in what it says")
	}
	if names, err := List(s.folder()); err != nil || len(names) != 1 {
		t.Errorf("on the disk: %v %v", names, err)
	}
	s.useBucket(t, where, "SKTEST")
	if err := os.MkdirAll(filepath.Join(folder, "nostromo-etcd/backups/nostromo"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "nostromo-etcd/backups/nostromo/readme"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.plain = large(12 << 20)
	for range 5 {
		s.turn(t.Context(), begun)
		s.now, s.revision = s.now.Add(time.Hour), s.revision+1
	}
	names, err := s.bucket.list(t.Context())
	if err != nil || len(names) != 3 || names[2].Revision != 11 {
		t.Fatalf("%v %v, it says %v", names, err, s.report.texts)
	}
	if last := s.report.texts[len(s.report.texts)-1]; !strings.HasSuffix(last, ", in the bucket too") {
		t.Errorf("it says %q", last)
	}
	if _, err := os.Stat(filepath.Join(folder, "nostromo-etcd/backups/nostromo/readme")); err != nil {
		t.Error(err)
	}
	for _, from := range []string{"s3://nostromo-etcd/backups/nostromo/latest.db.age", "s3://nostromo-etcd/backups/nostromo/" + names[2].String()} {
		u, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		var sealed, plain bytes.Buffer
		if err := s.bucket.Get(t.Context(), u, &sealed); err != nil {
			t.Fatal(err)
		}
		if l, err := form.Open(&plain, &sealed, s.key); err != nil || l.Revision != 11 || !bytes.Equal(plain.Bytes(), s.plain) {
			t.Errorf("%s: %v %+v", from, err, l)
		}
	}
	for _, from := range []string{"s3://nostromo-etcd/backups/nostromo/none.db.age", "s3://nostromo-etcd/elsewhere/latest.db.age", "s3://no-bucket/latest.db.age"} {
		u, _ := url.Parse(from)
		if err := s.bucket.Get(t.Context(), u, io.Discard); err == nil {
			t.Errorf("%s is there", from)
		}
	}
	// What a clock in the future has named pushes out nothing.
	ahead := form.Name{Time: s.now.Add(24 * time.Hour), Revision: 8}
	if err := os.WriteFile(filepath.Join(folder, "nostromo-etcd/backups/nostromo", ahead.String()), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.bucket.settled = form.Name{}
	if err := s.bucket.sync(t.Context(), s.folder(), names[2], form.Rule{Last: 1}); err != nil {
		t.Fatal(err)
	}
	if left, err := s.bucket.list(t.Context()); err != nil || !slices.Equal(left, []form.Name{names[2], ahead}) {
		t.Errorf("%v %v", left, err)
	}
	for name, want := range map[string]string{form.Latest: "write the exact name", names[2].String(): "", ahead.String(): ""} {
		u, _ := url.Parse("s3://nostromo-etcd/backups/nostromo/" + name)
		err := s.bucket.Get(t.Context(), u, io.Discard)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), ahead.String()) || !strings.Contains(err.Error(), names[2].String())) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A new leader finds that the newest is missing, and brings it.
	s.plan.S3, s.bucket.settled = &where, form.Name{}
	if err := os.Remove(filepath.Join(folder, "nostromo-etcd/backups/nostromo", names[2].String())); err != nil {
		t.Fatal(err)
	}
	s.now = s.now.Add(-time.Hour)
	s.turn(t.Context(), begun)
	if again, err := s.bucket.list(t.Context()); err != nil || !slices.Contains(again, names[2]) {
		t.Errorf("%v %v", again, err)
	}
}

// waitFor takes turns until the master says something: the server may be slow to start.
func (s *standIn) waitFor(t *testing.T, words string) {
	t.Helper()
	for range 50 {
		s.turn(t.Context(), s.now)
		if strings.Contains(strings.Join(s.report.texts, "\n"), words) && !strings.Contains(s.report.texts[len(s.report.texts)-1], "refused") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("it never says %s: %v", words, s.report.texts)
}
