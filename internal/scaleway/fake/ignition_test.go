package fake_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// The real Ignition's provider of Scaleway, alone in a network with the fake service,
// takes a node's payload from it, whole.
func TestIgnitionTakesUserData(t *testing.T) {
	testtool.Root(t)
	ignition := testtool.Path(t, "ignition")
	c := machine.New(t, `{name: a, platform: {provider: scaleway}, os: {family: flatcar}, roles: {master: {count: 1}, worker: {count: 1}}}`)
	doc := c.Document(t, "worker-1")
	p, err := payload.Render(doc, payload.Options{Format: payload.FormatIgnition})
	if err != nil {
		t.Fatal(err)
	}
	api := fake.New()
	api.Stranger("worker-1")
	api.GiveUserData("worker-1", p.Data)
	ns := fmt.Sprintf("imgforge-metadata-%d", os.Getpid())
	ip(t, "netns", "add", ns)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	ip(t, "-n", ns, "link", "set", "lo", "up")
	ip(t, "-n", ns, "address", "add", "169.254.42.42/32", "dev", "lo")
	server := &http.Server{Handler: api.Metadata(map[string]string{"169.254.42.42": "worker-1", "127.0.0.1": "worker-1"})}
	go server.Serve(listen(t, ns, "169.254.42.42:80"))
	t.Cleanup(func() { server.Close() })

	dir := t.TempDir()
	cache := filepath.Join(dir, "ignition.json")
	cmd := exec.Command("ip", "netns", "exec", ns, ignition, "--platform=scaleway", "--stage=fetch", "--root="+dir, "--config-cache="+cache, "--state-file="+filepath.Join(dir, "state"), "--log-to-stdout")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ignition: %v\n%s", err, out)
	}
	if api.Served() == 0 {
		t.Errorf("nobody read the user-data:\n%s", out)
	}
	taken := paths(t, cache)
	for _, f := range doc.Files {
		if !taken[f.Path] {
			t.Errorf("%s does not arrive", f.Path)
		}
	}
	if len(doc.Files) == 0 {
		t.Error("nothing was to arrive")
	}
	if port, err := exec.Command("ip", "netns", "exec", ns, "bash", "-c", "exec 3<>/dev/tcp/169.254.42.42/80; printf 'GET /user_data/cloud-init HTTP/1.0\r\n\r\n' >&3; head -1 <&3").CombinedOutput(); !strings.Contains(string(port), " 403 ") {
		t.Errorf("who asks from any port gets %s (%v)", port, err)
	}
}

// paths are the files of the configuration that Ignition goes on with.
func paths(t *testing.T, cache string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		Storage struct{ Files []struct{ Path string } }
	}
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, f := range c.Storage.Files {
		out[f.Path] = true
	}
	return out
}

func ip(t *testing.T, words ...string) {
	t.Helper()
	if out, err := exec.Command("ip", words...).CombinedOutput(); err != nil {
		t.Fatalf("ip %q: %v: %s", words, err, out)
	}
}

// listen opens a socket inside the namespace, where it stays.
func listen(t *testing.T, ns, at string) (l net.Listener) {
	t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		failed <- func() error {
			handle, err := os.Open(filepath.Join("/run/netns", ns))
			if err != nil {
				return err
			}
			defer handle.Close()
			if err := unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			l, err = net.Listen("tcp", at)
			return err
		}()
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	return l
}
