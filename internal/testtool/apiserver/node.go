// Package apiserver runs the real etcd, kube-apiserver and kube-controller-manager on
// loopback, from the files and flags of a master's own payload. It is for tests alone.
package apiserver

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/testtool"
)

// master makes the root of an example's first master: its payload, as Ignition
// writes it, with its identity claimed.
func master(t testing.TB, example, root string) {
	t.Helper()
	dir := t.TempDir()
	app := &forge.App{Now: time.Now, Rand: rand.Reader, Log: io.Discard, Getenv: func(name string) string {
		return map[string]string{"HOME": dir}[name]
	}}
	src := forge.Source{File: filepath.Join(dir, "cluster.yaml")}
	text, err := examples.Read(example)
	if err == nil {
		err = os.WriteFile(src.File, text, 0o644)
	}
	if err == nil {
		_, err = app.PKIInit(t.Context(), src)
	}
	if err != nil {
		t.Fatal(err)
	}
	payload, err := app.Render(t.Context(), forge.RenderOptions{Source: src, Node: "master-1", Format: "ignition"})
	if err != nil {
		t.Fatal(err)
	}
	ignite(t, payload.Data, root)
	if err := os.WriteFile(filepath.Join(root, "etc/hostname"), []byte("master-1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	claim(t, root)
}

// claim runs the node helper's first step. It is built: what tests this package is
// used by would import itself otherwise.
func claim(t testing.TB, root string) {
	t.Helper()
	module, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	helper := filepath.Join(t.TempDir(), "imgforge-node")
	build := exec.Command("go", "build", "-o", helper, "./cmd/imgforge-node")
	build.Dir, build.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{build, exec.Command(helper, "claim", "--root", root)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
}

// ignite lets the real Ignition engine write a payload.
func ignite(t testing.TB, config []byte, root string) {
	t.Helper()
	testtool.Root(t) // it changes owners
	engine := testtool.Path(t, "ignition")
	state := t.TempDir()
	file := filepath.Join(state, "config.ign")
	err := os.WriteFile(file, config, 0o600)
	if err == nil {
		err = os.MkdirAll(filepath.Join(root, "etc"), 0o755)
	}
	for name, text := range map[string]string{
		"passwd": "root:x:0:0:root:/root:/bin/bash\nsystemd-network:x:998:998::/:/usr/sbin/nologin\n",
		"group":  "root:x:0:\nsystemd-network:x:998:\n",
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, stage := range []string{"fetch", "files"} {
		cmd := exec.Command(engine, "--root", root, "--platform", "file", "--config-cache", filepath.Join(state, "cache"),
			"--state-file", filepath.Join(state, "state"), "--neednet", filepath.Join(state, "neednet"), "--log-to-stdout", "--stage", stage)
		cmd.Env = append(os.Environ(), "IGNITION_CONFIG_FILE="+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ignition --stage %s: %v\n%s", stage, err, out[max(0, len(out)-2000):])
		}
	}
}

// Rewrite changes a JSON file of the node by way of its own type.
func Rewrite[T any](t testing.TB, path string, change func(*T)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	change(&v)
	if data, err = json.MarshalIndent(v, "", "  "); err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// move lets the node's API server listen elsewhere: tests run beside one another.
func move(t testing.TB, root string, port int) {
	t.Helper()
	var was int
	Rewrite(t, filepath.Join(root, artifact.NodeFilePath), func(n *artifact.NodeFile) { was, n.APIServerPort = n.APIServerPort, port })
	confs, err := filepath.Glob(filepath.Join(root, "etc/kubernetes/*.conf"))
	if err != nil || len(confs) == 0 {
		t.Fatalf("no kubeconfig: %v", err)
	}
	for _, path := range confs {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(fmt.Sprintf("127.0.0.1:%d", was), fmt.Sprintf("127.0.0.1:%d", port),
			"/etc/kubernetes/", root+"/etc/kubernetes/").Replace(string(data))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

var argument = regexp.MustCompile(`(?m)^    - "(--.*)"$`)

// flags are the arguments of a static pod of the payload, with every path below
// root. Those in place are other flags, or others' values.
func flags(t testing.TB, root, pod string, place map[string]string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "etc/kubernetes/manifests", pod+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range argument.FindAllStringSubmatch(string(data), -1) {
		name, value, _ := strings.Cut(strings.TrimPrefix(found[1], "--"), "=")
		if _, placed := place[name]; placed {
			continue
		}
		if strings.HasPrefix(value, "/etc/") || strings.HasPrefix(value, "/var/") {
			value = root + value
		}
		out = append(out, "--"+name+"="+value)
	}
	if len(out) < 5 {
		t.Fatalf("the manifest of %s has %d flags", pod, len(out))
	}
	for name, value := range place {
		out = append(out, "--"+name+"="+value)
	}
	return out
}

// freePorts are ports on loopback that nobody listens on.
func freePorts(t testing.TB, count int) (out []int) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}
