package watch

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

const loneCluster = `{name: a, platform: {provider: metal}, network: {mesh: none}, endpoint: {mode: local},
	roles: {master: {count: 1, reserve: 0}, worker: {count: 1, reserve: 0}}}`

// emptyImage is a container image with nothing in it, as an archive that ctr imports.
func emptyImage(t *testing.T, name string) []byte {
	t.Helper()
	var out bytes.Buffer
	archive := tar.NewWriter(&out)
	put := func(path, text string) {
		if err := archive.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	blob := func(kind, text string) string {
		sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
		put("blobs/sha256/"+sum, text)
		return fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d`, kind, sum, len(text))
	}
	layer := string(make([]byte, 1024)) // the end of a tar archive
	first := blob("layer.v1.tar", layer)
	config := blob("config.v1+json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%x"]}}`, sha256.Sum256([]byte(layer))))
	manifest := blob("manifest.v1+json", `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":`+config+`},"layers":[`+first+`}]}`)
	put("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	put("index.json", `{"schemaVersion":2,"manifests":[`+manifest+`,"annotations":{"io.containerd.image.name":"`+name+`"}}]}`)
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// containerd runs the real one on a store of its own and returns its socket.
func containerd(t *testing.T) (socket string, ctr func(stdin []byte, args ...string)) {
	t.Helper()
	testtool.Root(t)
	dir := t.TempDir()
	socket = filepath.Join(dir, "sock")
	config := fmt.Sprintf("version = 3\nroot = %q\nstate = %q\ndisabled_plugins = [%q, %q, %q, %q]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n", dir+"/root", dir+"/state",
		"io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images", "io.containerd.podsandbox.controller.v1.podsandbox", socket, socket+".ttrpc")
	machine.Write(t, dir, "config.toml", config, 0o600)
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", testtool.Path(t, "containerd"), "--config", dir+"/config.toml")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	tool := testtool.Path(t, "ctr")
	ctr = func(stdin []byte, args ...string) {
		t.Helper()
		c := exec.Command(tool, append([]string{"--address", socket, "--namespace=k8s.io"}, args...)...)
		c.Stdin = bytes.NewReader(stdin)
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("ctr %s: %v: %s", args, err, out)
		}
	}
	for end := time.Now().Add(30 * time.Second); exec.Command(tool, "--address", socket, "version").Run() != nil; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("containerd does not answer")
		}
	}
	return socket, ctr
}

// A real containerd is asked for what rendered manifests name.
func TestImagesOfRenderedMaster(t *testing.T) {
	c := machine.New(t, loneCluster)
	root := c.Root(t, "master-1")
	for _, name := range []string{"kubelet", "containerd", "nft"} {
		machine.Write(t, root, "/bin/"+name, "", 0o755)
	}
	o := Options{Root: root, Programs: root + "/bin", Containerd: root + "/none.sock"}.orDefault()
	now := noon
	o.Now = func() time.Time { return now }
	var l imageLooker
	if got := l.look(t.Context(), o, none); !slices.Equal(got.NoPrograms, []string{"ctr, which is part of containerd"}) {
		t.Errorf("%+v", got)
	}
	if got := missingPrograms(o.Programs, tinc); len(got) != 2 || got[1] != "tincd, which is part of tinc" {
		t.Errorf("%q", got)
	}
	o.Programs += ":" + filepath.Dir(testtool.Path(t, "ctr"))
	if got := l.look(t.Context(), o, none); !strings.Contains(got.Containerd, "none.sock: no such file") || got.Missing != nil {
		t.Errorf("%+v", got)
	}
	// While the images are brought, that containerd is busy or has not all of them yet is no news.
	machine.Write(t, root, "/bin/systemctl", "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=activating\\nSubState=start\\n'\n", 0o755)
	if got := l.look(t.Context(), o, none); !got.Importing {
		t.Errorf("%+v", got)
	}
	machine.Write(t, root, "/bin/systemctl", "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\nSubState=exited\\n'\n", 0o755)
	if got := l.look(t.Context(), o, none); got.Importing {
		t.Errorf("%+v", got)
	}
	socket, ctr := containerd(t)
	o.Containerd = socket
	images := c.Plan.Images
	wanted := []string{images.Etcd, images.APIServer, images.ControllerManager, images.Scheduler, images.HAProxy, images.Pause}
	got := l.look(t.Context(), o, none)
	if got.Containerd != "" || got.Count != len(wanted) || len(got.Missing) != len(wanted) {
		t.Errorf("%+v", got)
	}
	for i, image := range wanted {
		ctr(emptyImage(t, artifact.ImageName(image)), "images", "import", "--no-unpack", "-")
		if got = l.look(t.Context(), o, none); len(got.Missing) != len(wanted)-i-1 || slices.Contains(got.Missing, image) {
			t.Errorf("with %s: %q", image, got.Missing)
		}
	}
	ctr(nil, "images", "remove", "--sync", images.Etcd)
	if got = l.look(t.Context(), o, none); got.Missing != nil {
		t.Errorf("a complete set is listed again: %q", got.Missing)
	}
	now = now.Add(imageRest)
	if got = l.look(t.Context(), o, none); len(got.Missing) != 1 || !strings.HasPrefix(got.Missing[0], images.Etcd+", which /etc/") {
		t.Errorf("%q", got.Missing)
	}
}

func TestPathsOnNode(t *testing.T) {
	for root, path := range map[string]string{"/": "/etc/a", "/tmp/x": "/tmp/x/etc/a", "/tmp/x/": "/tmp/x/etc/a"} {
		if got := onNode(root, path); got != "/etc/a" {
			t.Errorf("%s below %s is %s", path, root, got)
		}
	}
}

func TestImageNames(t *testing.T) {
	for name, want := range map[string]string{
		"haproxy": "docker.io/library/haproxy:latest", "haproxy:3.2": "docker.io/library/haproxy:3.2", "imgforge/keepalived:2.2.7": "docker.io/imgforge/keepalived:2.2.7",
		"registry.k8s.io/coredns/coredns:v1": "registry.k8s.io/coredns/coredns:v1", "localhost:5000/a": "localhost:5000/a:latest", "a.b/c@sha256:0": "a.b/c@sha256:0",
	} {
		if got := artifact.ImageName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for text, want := range map[string]string{
		"  - name: a\n    image: \"a:1\"\n    imagePullPolicy: Never\n  - image: b\n": "a:1 b",
		"  - image: a:1\n": "", // the kubelet pulls it
		"[plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = \"p:1\"\n": "p:1",
	} {
		if got := strings.Join(imagesIn(text), " "); got != want {
			t.Errorf("%q names %q, want %q", text, got, want)
		}
	}
}

// What a program said last is shown without what differs every time, and without
// anything that could be a key.
func TestLastWords(t *testing.T) {
	for log, want := range map[string]string{
		"I1121 15:00:00.000000 12 server.go:1] \"ok\"\nE1121 15:00:01.123456    1234 run.go:72] \"command failed\" err=\"unknown flag: --foo\"\nkubelet.service: Main process exited\n": `run.go:72] "command failed" err="unknown flag: --foo"`,
		"Usage:\n  kubelet [flags]\nError: unknown flag\nkubelet.service: Failed with result 'exit-code'.\n":                                                                            "Error: unknown flag",
		"2026-11-21T15:00:00.1Z stderr F {\"level\":\"fatal\",\"ts\":\"2026\",\"msg\":\"no such file\"}\n":                                                                              `{"level":"fatal","msg":"no such file"}`,
		`time="2026-11-21T16:11:36.8Z" level=fatal msg="cannot listen"`:                                                                                                                 `level=fatal msg="cannot listen"`,
		"read tcp 127.0.0.1:43210->127.0.0.1:8443: connection reset":                                                                                                                    "read tcp 127.0.0.1:8443: connection reset",
		"token is eyJhbGciOiJSUzI1NiIsImtpZCI6IjEyMzQ1Njc4OTAifQ==":                                                                                                                     "token is ...",
		"cannot pull /var/lib/kubelet/pods/4f3c/volumes/kubernetes.io~secret/token for kube-system/kube-controller-manager-master-1-long":                                               "cannot pull /var/lib/kubelet/pods/4f3c/volumes/kubernetes.io~secret/token for kube-system/kube-controller-manager-master-1-long",
		"container 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 ended":                                                                                              "container ... ended",
		"-----BEGIN EC PRIVATE KEY-----": "",
		"":                               "",
	} {
		if got := strings.TrimSpace(lastError(strings.Split(log, "\n"))); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
	if got := plain(strings.Repeat("word ", 200)); len(got) > longestLine+3 {
		t.Errorf("%d bytes", len(got))
	}
	if _, err := os.Stat("/proc"); err == nil && program(programDirs, "sh") == "" {
		t.Error("no shell is found")
	}
}
