package proof

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Same store and same file give the same bytes: two child processes build each
// example with nothing else in common, neither umask, time zone, locale, home,
// working folder, processors, SOURCE_DATE_EPOCH, the order in which files came to be,
// nor, as root, the user.
func TestReproducible(t *testing.T) {
	binary := built(t, "imgforge")
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			here := &elsewhereBuild{cluster: c.dir, umask: "022", env: []string{"TZ=UTC", "LANG=C", "LC_ALL=C", "GOMAXPROCS=1"}}
			there := &elsewhereBuild{cluster: copyTree(t, c.dir), umask: "077", user: 65534, backwards: true,
				env: []string{"TZ=Pacific/Kiritimati", "LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "GOMAXPROCS=4", "NO_COLOR=1", "SOURCE_DATE_EPOCH=86400"}}
			first, second := here.build(t, binary), there.build(t, binary)
			if len(first) < 10 {
				t.Fatalf("only %d entries were built", len(first))
			}
			for path, e := range first {
				other, ok := second[path]
				if !ok {
					t.Errorf("%s is in the first build only", path)
				} else if e.contents != other.contents || e.mode != other.mode {
					t.Errorf("%s differs: %v and %v", path, e, other)
				}
			}
			for path := range second {
				if _, ok := first[path]; !ok {
					t.Errorf("%s is in the second build only", path)
				}
			}
		})
	}
}

// elsewhereBuild is a build in a child process with surroundings of its own.
type elsewhereBuild struct {
	cluster string // folder with cluster file, store and home
	umask   string
	user    uint32 // 0 stays who it is
	env     []string
	args    []string // of build
	// backwards makes the cluster's files in the opposite order, which is how some file
	// systems list them.
	backwards bool
}

func (b *elsewhereBuild) build(t *testing.T, binary string) map[string]entry {
	t.Helper()
	// A folder that every user can pass through, which t.TempDir is not.
	work, err := os.MkdirTemp("", "imgforge-repro-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	copied := []string{"cp", "-a", b.cluster, work + "/cluster"}
	if b.backwards {
		copied = []string{"sh", "-c", `mkdir "$1" && cd "$0" && find . | LC_ALL=C sort -r | tar --no-recursion -cf - -T - | tar -xpf - -C "$1"`, b.cluster, work + "/cluster"}
	}
	for _, step := range [][]string{copied, {"cp", binary, work + "/imgforge"}, {"chmod", "0755", work, work + "/cluster"}} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	home := filepath.Join(work, "cluster", "home")
	cmd := exec.Command("sh", append([]string{"-c", "umask " + b.umask + ` && exec "$0" build -f ../cluster.yaml -o ../built "$@"`}, append([]string{work + "/imgforge"}, b.args...)...)...)
	cmd.Dir = filepath.Join(work, "cluster", "cwd")
	if err := os.Mkdir(cmd.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_CONFIG_HOME=" + filepath.Join(home, ".config")}, b.env...)
	if b.user != 0 && os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "-R", fmt.Sprint(b.user), work).CombinedOutput(); err != nil {
			t.Fatalf("chown: %v\n%s", err, out)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: b.user, Gid: b.user}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	found := entries(t, filepath.Join(work, "cluster", "built"))
	delete(found, "/") // the folder itself
	for path, e := range found {
		e.uid, e.gid = 0, 0 // whose files they are is the one difference that stays
		found[path] = e
	}
	return found
}

// Adding a reserved node changes no byte of any other node or of any role: the
// new one boots what was prepared for it.
func TestReservedNodeChangesNothing(t *testing.T) {
	c := fromFile(t, `name: nostromo
platform: {provider: scaleway}
endpoint: {access: [198.51.100.0/24]}
roles:
  master: {count: 3, reserve: 2}
  proxy: {count: 1, reserve: 1, publicIP: 203.0.113.63}
  worker: {count: 2, reserve: 3}
`)
	c.run(t, "build", "-o", c.path("out"))
	before := entries(t, c.path("out", "secret"))
	text := string(read(t, c.path("cluster.yaml")))
	for _, step := range []struct{ old, new string }{
		{"worker: {count: 2, reserve: 3}", "worker: {count: 3, reserve: 3}"},
		{"master: {count: 3, reserve: 2}", "master: {count: 5, reserve: 2}"},
		{"proxy: {count: 1, reserve: 1,", "proxy: {count: 2, reserve: 1,"},
	} {
		if !strings.Contains(text, step.old) {
			t.Fatalf("%q is not in the file", step.old)
		}
		text = strings.Replace(text, step.old, step.new, 1)
		c.write(t, text)
		c.run(t, "pki", "issue")
		c.run(t, "build", "-o", c.path("out"))
		after := entries(t, c.path("out", "secret"))
		compared := 0
		for path, e := range before {
			kind := strings.Split(path, "/")[1]
			if !e.mode.IsRegular() || kind != "nodes" && kind != "roles" {
				continue
			}
			compared++
			if after[path] != e {
				t.Errorf("%s: %s changed", step.new, path)
			}
		}
		if compared < 10 {
			t.Errorf("only %d payloads were compared", compared)
		}
	}
	// Beyond the reserve other nodes do change: if they did not, nothing was compared.
	c.write(t, strings.Replace(text, "worker: {count: 3, reserve: 3}", "worker: {count: 9, reserve: 3}", 1))
	c.run(t, "pki", "issue")
	c.run(t, "build", "-o", c.path("out"))
	if after := entries(t, c.path("out", "secret")); after["/nodes/master-1.ign"] == before["/nodes/master-1.ign"] {
		t.Error("a node beyond the reserve changes nothing on a hub, which must learn its key")
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
