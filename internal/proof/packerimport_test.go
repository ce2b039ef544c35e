//go:build lab

package proof

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

const importTemplate = fileDisk + `build {
  sources = ["source.file.base"]
  post-processors {
    post-processor "imgforge-bake" {
      cluster_file     = %[3]q
      role             = "worker"
      output_directory = %[4]q
      cache            = %[5]q
      offline          = true
      helper           = %[6]q
      imgforge_path    = %[7]q
    }
    post-processor "imgforge-scaleway-import" {
      cluster_file  = %[3]q
      imgforge_path = %[7]q
    }
  }
}
`

// One build takes a builder's disk, bakes it and makes it an image, and a second finds
// that the image is there. The key to the provider is nowhere in what Packer wrote.
func TestPackerImport(t *testing.T) {
	locked := lockedCluster(t)
	c := &cluster{name: "import", dir: copyTree(t, locked.dir)}
	text, err := os.ReadFile(c.path("cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, string(bytes.Replace(text, []byte("{provider: metal}"), []byte("{provider: scaleway, zone: "+string(fake.Zone)+"}"), 1)))
	api := fake.New()
	server, storage := httptest.NewServer(api), httptest.NewServer(api.ObjectStorage())
	defer server.Close()
	defer storage.Close()
	for name, value := range map[string]string{
		"SCW_API_URL": server.URL, "SCW_S3_URL": storage.URL, "SCW_ACCESS_KEY": fake.AccessKey, "SCW_SECRET_KEY": fake.SecretKey,
		"SCW_DEFAULT_PROJECT_ID": fake.Project, "SCW_CONFIG_PATH": c.path("none.yaml"), "SCW_DEBUG": "true",
	} {
		t.Setenv(name, value)
	}
	dir := t.TempDir()
	out, template := filepath.Join(dir, "out"), filepath.Join(dir, "import.pkr.hcl")
	hcl := fmt.Sprintf(importTemplate, c.path("base.img"), filepath.Join(dir, "built.img"), c.path("cluster.yaml"), out, c.path("cache"), c.path("imgforge-node"), built(t, "imgforge"))
	if err := os.WriteFile(template, []byte(hcl), 0o644); err != nil {
		t.Fatal(err)
	}
	logged := mustPacker(t, c, "build", template)
	made := regexp.MustCompile(`image at Scaleway for role worker: ([0-9a-f-]{36}) \(sha256:[0-9a-f]{64}\)`)
	first := made.FindStringSubmatch(logged)
	if first == nil {
		t.Fatalf("no image is named:\n%s", logged)
	}
	if _, err := os.Stat(filepath.Join(out, "public", "images", "worker.qcow2")); err != nil {
		t.Errorf("the disk, which was to stay: %v", err)
	}
	again := mustPacker(t, c, "build", "-force", template)
	second := made.FindStringSubmatch(again)
	if second == nil || second[1] != first[1] {
		t.Errorf("the same disk is image %q now, and was %q", second, first)
	}
	if strings.Contains(logged+again, fake.SecretKey) {
		t.Error("the key to the provider is in what Packer wrote")
	}
}
