package forge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/pki"
)

// builtWith is an output folder, signed by the store, with a sealed disk of the role
// worker, and where that lies.
func builtWith(t *testing.T, app *App, src Source, content string) (out, image string) {
	t.Helper()
	c, st, err := app.open(src)
	if err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(t.TempDir(), "out")
	tree, err := artifact.NewTree(out, artifact.TreeInfo{Cluster: c.plan.Cluster, LatestBoot: c.plan.LatestBoot, Sign: signer(st)})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Abort()
	ca, err := st.Authority(pki.Kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.AddBytes(artifact.Item{Path: "authorities/kubernetes.crt", Kind: "certificate", Format: "pem"}, ca); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte(content), 1<<20/len(content))
	sum := sha256.Sum256(data)
	item := artifact.Item{Path: "images/worker.qcow2", Kind: "image", Role: "worker", Format: disk.QCOW2,
		Disk: &artifact.Disk{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)), Sealed: true}}
	if _, err := tree.AddFiles([]artifact.Item{item}, func(paths []string) error {
		return disk.Write(paths[0], 0o600, disk.QCOW2, sparse.Bytes(data))
	}); err != nil {
		t.Fatal(err)
	}
	if err := tree.Commit(); err != nil {
		t.Fatal(err)
	}
	return out, filepath.Join(out, artifact.Public, "images", "worker.qcow2")
}

// published is what is there of images after an attempt to publish.
func published(t *testing.T, app *App, o PublishScalewayOptions) (done []PublishedScaleway, exists []string, err error) {
	t.Helper()
	api := atFake(t)
	storage := httptest.NewServer(api.ObjectStorage())
	t.Cleanup(storage.Close)
	t.Setenv("SCW_S3_URL", storage.URL)
	o.Keep = 3
	done, err = app.PublishScaleway(t.Context(), o)
	return done, api.Inventory(), err
}

const oneWorker = `
name: tiny
platform: {provider: scaleway, zone: fr-par-1, scaleway: {image: ` + fake.Label + `}}
pki: {algorithm: ecdsa-256}
roles:
  master: {count: 1, type: PRO2-XXS}
  worker: {count: 1, type: PRO2-XXS}
`

// A folder that somebody else built, or changed, is not published, nor is one image of
// it; nothing of it leaves this machine.
func TestPublishScalewayVerifies(t *testing.T) {
	app, src := withStore(t, oneWorker)
	other, theirs := withStore(t, oneWorker)
	foreign, foreignImage := builtWith(t, other, theirs, "another's disk")
	unsigned, unsignedImage := builtWith(t, app, src, "a disk")
	if err := os.Remove(filepath.Join(unsigned, artifact.Public, artifact.SignatureName)); err != nil {
		t.Fatal(err)
	}
	more, _ := builtWith(t, app, src, "a disk")
	if err := os.WriteFile(filepath.Join(more, artifact.Public, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	signature := "manifest.json.sig: "
	for name, test := range map[string]struct {
		o    PublishScalewayOptions
		says string
	}{
		"another store's folder":   {PublishScalewayOptions{Out: foreign}, "it is not the authority of the store"},
		"another store's image":    {PublishScalewayOptions{Image: foreignImage, Role: "worker"}, "somebody else built this folder"},
		"a folder with no proof":   {PublishScalewayOptions{Out: unsigned}, signature},
		"an image with no proof":   {PublishScalewayOptions{Image: unsignedImage, Role: "worker"}, signature},
		"a folder with more in it": {PublishScalewayOptions{Out: more}, "more: is not in the manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			test.o.Source = src
			_, exists, err := published(t, app, test.o)
			if err == nil || !strings.Contains(err.Error(), "is not published: ") || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
			if len(exists) > 0 {
				t.Errorf("it left something: %q", exists)
			}
		})
	}
}

// What is whole is published, and what was not checked of it is said.
func TestPublishScalewayTellsWhatIsUnchecked(t *testing.T) {
	app, src := withStore(t, oneWorker)
	out, image := builtWith(t, app, src, "a disk")
	loose := filepath.Join(t.TempDir(), "worker.qcow2")
	if err := disk.Write(loose, 0o600, disk.QCOW2, sparse.Bytes(make([]byte, 1<<20))); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		o    PublishScalewayOptions
		says string // "" for nothing
	}{
		"a folder":             {PublishScalewayOptions{Out: out}, ""},
		"an image of a folder": {PublishScalewayOptions{Image: image, Role: "worker"}, "only the signatures and the hash of " + image + " were checked: "},
		"an image of nothing":  {PublishScalewayOptions{Image: loose, Role: "worker", WithSecrets: true}, "who made " + loose + " was not checked: "},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			app.Log = &log
			test.o.Source = src
			test.o.Dry = test.o.Image != "" // waiting for one is enough
			done, _, err := published(t, app, test.o)
			if err != nil || len(done) != 1 || (done[0].Image == "") != test.o.Dry {
				t.Fatalf("%+v, %v", done, err)
			}
			told := strings.Join(done[0].Unchecked, "\n")
			if !strings.HasPrefix(told, test.says) || (test.says == "") != (told == "") || !strings.Contains(log.String(), told) {
				t.Errorf("%q, and logged %q", told, log.String())
			}
		})
	}
}
