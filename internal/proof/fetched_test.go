package proof

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// fetchingCluster is the locked cluster with programs that nodes fetch from a URL, built.
func fetchingCluster(t *testing.T, url string) *cluster {
	t.Helper()
	c := &cluster{name: "fetched", dir: copyTree(t, lockedCluster(t).dir)}
	text, err := os.ReadFile(c.path("cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.write(t, string(text)+"delivery: fetch\nartifacts: {url: "+url+"}\n")
	c.readPlan(t)
	c.run(t, "build", "-o", c.path("out"), "--offline", "--cache", c.path("cache"), "--helper", c.path("imgforge-node"))
	return c
}

// programsOf are the files that a build says are extension and bundle, by their places on a node.
func (c *cluster) programsOf(t *testing.T) map[string]string {
	t.Helper()
	m, err := artifact.ReadManifest(c.path("out"), artifact.Public)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, e := range m.Files {
		if place := map[string]string{"sysext": artifact.ExtensionPlace, "bundle": artifact.BundlePlace}[e.Kind]; place != "" {
			out[place] = c.path("out", "public", e.Path)
		}
	}
	if len(out) != 2 {
		t.Fatalf("the build has %q", out)
	}
	return out
}

// The real Ignition fetches the programs of every node of a cluster from a server that
// has the public part, puts them where the node's units look, and takes no other byte.
func TestIgnitionFetchesPrograms(t *testing.T) {
	testtool.Root(t)
	var served string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.FileServer(http.Dir(served)).ServeHTTP(w, r)
	}))
	defer server.Close()
	c := fetchingCluster(t, server.URL)
	served = c.path("out", "public")
	programs := c.programsOf(t)
	for _, name := range []string{"master-1", "worker-1", "worker-2", "worker"} {
		root := t.TempDir()
		if err := ignite(t, c.payloadOf(t, name), root); err != nil {
			t.Fatal(err)
		}
		for place, file := range programs {
			if err := exec.Command("cmp", file, filepath.Join(root, place)).Run(); err != nil {
				t.Errorf("%s: %s is not %s: %v", name, place, file, err)
			}
		}
		release, err := exec.Command(testtool.Path(t, "unsquashfs"), "-cat", filepath.Join(root, artifact.ExtensionPlace), "usr/lib/extension-release.d/extension-release.imgforge").Output()
		if err != nil || !strings.HasPrefix(string(release), "ID=_any\n") {
			t.Errorf("%s: the extension says %q, %v", name, release, err)
		}
	}
	for place, file := range programs {
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte{}, good...)
		bad[len(bad)/2] ^= 1
		if err := os.WriteFile(file, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		root := t.TempDir()
		if err := ignite(t, c.payloadOf(t, "master-1"), root); err == nil || !strings.Contains(err.Error(), "hash") {
			t.Errorf("%s: Ignition took another byte: %v", place, err)
		}
		if _, err := os.Stat(filepath.Join(root, place)); err == nil {
			t.Errorf("%s is there", place)
		}
		if _, err := c.try("verify", c.path("out")); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) {
			t.Errorf("verify said %v", err)
		}
		if err := os.WriteFile(file, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c.run(t, "verify", c.path("out"))
}

// cloud-init leaves the tree of Ignition, programs included.
func TestCloudInitFetchesPrograms(t *testing.T) {
	testtool.Root(t)
	testtool.Path(t, "cloud-init")
	c := fetchingCluster(t, "http://127.0.0.1:8080")
	render := func(format string) []byte {
		return c.run(t, "render", "--node", "worker-1", "--format", format, "--out", c.path("out"))
	}
	want := applied(t, testtool.Path(t, "ignition"), render("ignition"), c.path("out", "public"))
	got := applied(t, "cloud-init", render("cloud-init"), c.path("out", "public"))
	for place := range c.programsOf(t) {
		found := false
		for line := range got {
			found = found || strings.HasPrefix(line, "f 0644 0:0\t") && strings.HasSuffix(line, " ."+place)
		}
		if !found {
			t.Errorf("cloud-init did not leave %s", place)
		}
	}
	for line := range want {
		if !got[line] {
			t.Errorf("only Ignition: %s", line)
		}
	}
}
