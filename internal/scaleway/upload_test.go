package scaleway_test

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/internal/testtool"
)

// A real S3 server, which knows nothing of the fake, agrees with signatures, checksums
// and names of parts; an upload that was interrupted goes on, and nothing stays.
func TestUploadToARealServer(t *testing.T) {
	api := fake.New()
	serve(t, api)
	url, folder := testtool.S3(t, fake.AccessKey+"@"+fake.Project, fake.SecretKey)
	t.Setenv("SCW_S3_URL", url)
	data := bytes.Repeat(disk("PAYLOAD real"), 2500) // 15 MB: three parts of the least size, and a rest
	source, err := scaleway.Cut(bytes.NewReader(data), int64(len(data)), 5<<20)
	if err != nil {
		t.Fatal(err)
	}
	i := image(t, "PAYLOAD real")
	i.Source = source
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	var first, second []string
	r := runner(t, &first)
	r.Say = func(line string) {
		if first = append(first, line); strings.HasPrefix(line, "upload part 2 ") {
			kill()
		}
	}
	if _, err := r.Publish(ctx, i); err == nil || !strings.Contains(err.Error(), "unfinished upload of imgforge/nostromo/worker/") {
		t.Errorf("interrupted: %v", err)
	}
	// The fake has not heard of this server's buckets, and refuses the import.
	_, err = runner(t, &second).Publish(t.Context(), i)
	if err == nil || !strings.Contains(err.Error(), "is no bucket of fr-par") {
		t.Errorf("uploaded: %v", err)
	}
	want := []string{"upload part 2 of 3 (5242880 bytes)", "upload part 3 of 3 (5124240 bytes)"}
	if len(second) < 3 || !slices.Equal(second[:2], want) || !strings.HasPrefix(second[2], "complete the upload") {
		t.Errorf("after part 1 of 3:\n%s", strings.Join(second, "\n"))
	}
	objects, err := filepath.Glob(filepath.Join(folder, "imgforge-*", "imgforge", "nostromo", "worker", "*.qcow2"))
	if err != nil || len(objects) != 1 {
		t.Fatalf("objects: %v %v", objects, err)
	}
	clean := *i
	clean.Source, clean.Digest = nil, ""
	var said []string
	if _, err := runner(t, &said).Publish(t.Context(), &clean); err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(folder, "imgforge-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
