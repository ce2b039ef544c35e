package scaleway_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// step is the size of a part here: seven of them make the disk, more than one page lists.
const step = 1 << 10

// disk is a qcow2 as far as anybody looks at it: 20 GB of disk in less than 7 KB.
func disk(content string) []byte {
	data := make([]byte, 6*step+100)
	copy(data, "QFI\xfb\x00\x00\x00\x03")
	binary.BigEndian.PutUint64(data[24:], 20e9)
	for i := 64; i < len(data); i++ {
		data[i] = content[i%len(content)] + byte(i/step)
	}
	return data
}

func image(t *testing.T, content string) *scaleway.Image {
	t.Helper()
	data := disk(content)
	source, err := scaleway.Cut(bytes.NewReader(data), int64(len(data)), step)
	if err != nil {
		t.Fatal(err)
	}
	return &scaleway.Image{Cluster: "nostromo", Role: "worker", Version: "v1.34.2", Arch: "amd64", Digest: "sha256:" + source.SHA256, DiskSize: 20e9, Keep: 3, Source: source}
}

// shop is a fake that takes small parts.
func shop() *fake.API {
	api := fake.New()
	api.MinPart = step
	return api
}

// publish publishes against a fake and returns what exists then.
func publish(t *testing.T, api *fake.API, i *scaleway.Image) []string {
	t.Helper()
	var said []string
	shelf, err := runner(t, &said).Publish(t.Context(), i)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(said, "\n"))
	}
	if i.Source != nil && shelf.Available(i.Digest) == "" {
		t.Fatalf("published, and there is no image: %s", shelf.Summary())
	}
	for _, line := range said {
		if strings.Contains(line, fake.SecretKey) || strings.Contains(line, "PAYLOAD") {
			t.Errorf("a secret was said: %s", line)
		}
	}
	if m := api.Mistakes(); len(m) > 0 {
		t.Error(m)
	}
	return api.Inventory()
}

func nameOf(i *scaleway.Image) string {
	return "nostromo-worker-" + strings.TrimPrefix(i.Digest, "sha256:")[:16]
}

// linesOf is what one image leaves.
func linesOf(i *scaleway.Image) []string {
	tags := "imgforge.cluster=nostromo imgforge.role=worker imgforge.version=v1.34.2 imgforge.digest=" + i.Digest
	return []string{fmt.Sprintf("image %s available x86_64 of %[1]s, %s", nameOf(i), tags), fmt.Sprintf("snapshot %s available 20000000000 %s", nameOf(i), tags)}
}

func linesOfAll(images ...*scaleway.Image) (out []string) {
	for _, i := range images {
		out = append(out, linesOf(i)...)
	}
	slices.Sort(out)
	return out
}

func TestPublish(t *testing.T) {
	api := shop()
	serve(t, api)
	first := image(t, "PAYLOAD one")
	same(t, publish(t, api, first), linesOfAll(first))
	var said []string
	if _, err := runner(t, &said).Publish(t.Context(), first); err != nil || len(said) > 0 {
		t.Errorf("published twice: %v %v", said, err)
	}
}

func TestPublishSaysWhatItWillDo(t *testing.T) {
	api := shop()
	serve(t, api)
	i := image(t, "PAYLOAD one")
	var said, shown []string
	r := runner(t, &said)
	_, changes, err := r.PreviewPublish(t.Context(), i)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range changes {
		shown = append(shown, c.String())
	}
	if _, err := r.Publish(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	same(t, said, shown)
	if len(said) != 1+1+7+1+2+2+2 {
		t.Errorf("steps:\n%s", strings.Join(said, "\n"))
	}
}

// The newest images stay, and those that a server was made from, whosever it is.
func TestPublishKeeps(t *testing.T) {
	api := shop()
	serve(t, api)
	var images []*scaleway.Image
	for n := range 6 {
		i := image(t, fmt.Sprintf("PAYLOAD %d", n))
		i.Keep = 2
		images = append(images, i)
		publish(t, api, i)
		if n == 0 {
			api.BootFrom("old", nameOf(i))
		}
	}
	other := image(t, "PAYLOAD other")
	other.Role = "proxy"
	publish(t, api, other)
	got := slices.DeleteFunc(api.Inventory(), func(line string) bool {
		return strings.HasPrefix(line, "server") || strings.Contains(line, "role=proxy")
	})
	same(t, got, linesOfAll(images[0], images[4], images[5]))
}

// A bucket of yours stays, with what is yours in it.
func TestPublishByOwnBucket(t *testing.T) {
	api := shop()
	serve(t, api)
	api.Bucket("mine", string(fake.Region), map[string][]byte{"photo": []byte("x"), "imgforge/nostromo/worker/old.qcow2": []byte("x"), "imgforge/nostromo/proxy/other.qcow2": []byte("x")})
	i := image(t, "PAYLOAD one")
	i.Bucket = "mine"
	want := append(linesOf(i), "bucket mine", "object imgforge/nostromo/proxy/other.qcow2 1", "object photo 1")
	slices.Sort(want)
	same(t, publish(t, api, i), want)
}

// A bucket of the foreseeable name that is another customer's gets nothing, however open
// it is, and loses nothing; one of yours is the way out.
func TestPublishIntoNobodyElsesBucket(t *testing.T) {
	api := shop()
	serve(t, api)
	i := image(t, "PAYLOAD one")
	var said []string
	_, changes, err := runner(t, &said).PreviewPublish(t.Context(), i)
	if err != nil || changes[0].Kind != scaleway.CreateBucket {
		t.Fatalf("%v %v", changes, err)
	}
	api.Squat(changes[0].Name)
	want := []string{"bucket " + changes[0].Name}
	_, err = runner(t, &said).Publish(t.Context(), i)
	if _, told := errors.AsType[*scaleway.Stopped](err); !told || !strings.Contains(err.Error(), "another owner has a bucket "+changes[0].Name) || !strings.Contains(err.Error(), "--bucket") {
		t.Errorf("%v", err)
	}
	same(t, said, []string{changes[0].String()})
	same(t, api.Inventory(), want)
	clean := *i
	clean.Source, clean.Digest = nil, ""
	same(t, publish(t, api, &clean), want)
	api.Bucket("mine", string(fake.Region), nil)
	i.Bucket = "mine"
	same(t, publish(t, api, i), append(append(want, "bucket mine"), linesOf(i)...))
}

// An import that fails is said once, and the next run begins with removing it.
func TestPublishBadDisk(t *testing.T) {
	api := shop()
	serve(t, api)
	i := image(t, "PAYLOAD one")
	spoil := true
	api.Fault = func(_ int, r *http.Request) fake.Fault {
		if spoil && strings.HasSuffix(r.URL.Path, "/import-from-object-storage") {
			api.Spoil()
		}
		return fake.None
	}
	var said []string
	_, err := runner(t, &said).Publish(t.Context(), i)
	stopped, ok := errors.AsType[*scaleway.Stopped](err)
	if !ok || !strings.Contains(stopped.Exists, "snapshot "+nameOf(i)+" (error), object imgforge/nostromo/worker/") {
		t.Fatalf("%v", err)
	}
	same(t, said[len(said)-1:], []string{"wait until it is imported: snapshot " + nameOf(i)})
	// Cleaning leaves nothing; and a whole disk goes through afterwards.
	clean := *i
	clean.Source, clean.Digest = nil, ""
	spoil = false
	same(t, publish(t, api, &clean), nil)
	same(t, publish(t, api, i), linesOfAll(i))
}
