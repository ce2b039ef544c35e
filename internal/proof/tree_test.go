package proof

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

// ignite lets the real Ignition engine write a payload into root, as it does in
// an initrd. Partitions and filesystems are another stage and are left out.
func ignite(t testing.TB, config []byte, root string) error {
	t.Helper()
	testtool.Root(t) // it changes owners
	engine := testtool.Path(t, "ignition")
	if err := furnish(root); err != nil {
		return err
	}
	state := t.TempDir()
	file := filepath.Join(state, "config.ign")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	for _, stage := range []string{"fetch", "files"} {
		cmd := exec.Command(engine, "--root", root, "--platform", "file", "--config-cache", filepath.Join(state, "cache"),
			"--state-file", filepath.Join(state, "state"), "--neednet", filepath.Join(state, "neednet"), "--log-to-stdout", "--stage", stage)
		cmd.Env = append(os.Environ(), "IGNITION_CONFIG_FILE="+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ignition --stage %s: %w\n%s", stage, err, lastLines(out, 15))
		}
	}
	return nil
}

// furnish gives an empty root the users that owners are looked up in; every OS has them.
func furnish(root string) error {
	etc := filepath.Join(root, "etc")
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	passwd := "root:x:0:0:root:/root:/bin/bash\nsystemd-network:x:998:998::/:/usr/sbin/nologin\n"
	group := "root:x:0:\nsystemd-network:x:998:\n"
	if err := os.WriteFile(filepath.Join(etc, "passwd"), []byte(passwd), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(etc, "group"), []byte(group), 0o644)
}

func lastLines(out []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// outFile is where build writes a payload: kind is roles or nodes.
func (c *cluster) outFile(kind, target string) string {
	extension := map[string]string{"ignition": ".ign", "cloud-init": ".yaml"}[c.plan.OS.Format]
	return c.path("out", "secret", kind, target+extension)
}

// payloadOf is a payload as build wrote it, of a role or of a node.
func (c *cluster) payloadOf(t testing.TB, target string) []byte {
	t.Helper()
	kind := "nodes"
	if _, isRole := c.plan.Role(target); isRole {
		kind = "roles"
	}
	data, err := os.ReadFile(c.outFile(kind, target))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ignitionOf is the payload of a role or node (--role or --node) as Ignition:
// what build wrote, or what it was converted from where the OS reads cloud-init.
func (c *cluster) ignitionOf(t testing.TB, flag, target string) []byte {
	t.Helper()
	if c.plan.OS.Format == "ignition" {
		return c.payloadOf(t, target)
	}
	return c.run(t, "render", flag, target, "--format", "ignition")
}

// tree is the root that Ignition wrote from a node's payload, with its identity
// claimed; made once per run.
func (c *cluster) tree(t testing.TB, node string) string {
	t.Helper()
	testtool.Root(t)
	testtool.Path(t, "ignition")
	return work.once(t, "tree/"+c.name+"/"+node, func(dir string) error {
		if err := ignite(t, c.ignitionOf(t, "--node", node), dir); err != nil {
			return err
		}
		return claim(t, dir, node, "")
	})
}

// claim runs the node helper's first step on a root, as a machine of that name
// does at first boot. A claim line opens a sealed slot; "" is none.
func claim(t testing.TB, root, host, line string) error {
	t.Helper()
	kernel := filepath.Join(root, "proc", "sys", "kernel")
	if err := os.MkdirAll(kernel, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(filepath.Join(root, "proc"))
	if err := os.WriteFile(filepath.Join(kernel, "hostname"), []byte(host+"\n"), 0o644); err != nil {
		return err
	}
	if line != "" {
		if err := os.WriteFile(filepath.Join(root, "proc", "cmdline"), []byte("quiet imgforge.claim="+line+"\n"), 0o644); err != nil {
			return err
		}
	}
	cmd := exec.Command(built(t, "imgforge-node"), "claim", "--root", root)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("imgforge-node claim of %s: %w\n%s", host, err, out)
	}
	return nil
}

// entry is one file, folder or link of a tree.
type entry struct {
	mode     fs.FileMode
	uid, gid uint32
	contents string // of a file, or the target of a link
}

func (e entry) String() string {
	return fmt.Sprintf("%v %d:%d %d bytes", e.mode, e.uid, e.gid, len(e.contents))
}

// entries lists a tree by path, without the paths below those named.
func entries(t testing.TB, root string, without ...string) map[string]entry {
	t.Helper()
	out := map[string]entry{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
		if slices.Contains(without, name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{mode: info.Mode()}
		if sys, ok := info.Sys().(*syscall.Stat_t); ok {
			e.uid, e.gid = sys.Uid, sys.Gid
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			e.contents, err = os.Readlink(path)
		case d.Type().IsRegular():
			var data []byte
			data, err = os.ReadFile(path)
			e.contents = string(data)
		}
		out[name] = e
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// sameTree tells every difference between two trees; contents are never shown, they hold keys.
func sameTree(t testing.TB, what string, got, want map[string]entry) {
	t.Helper()
	if len(want) < 5 {
		t.Errorf("%s: the tree to compare with has %d entries only", what, len(want))
	}
	for path, w := range want {
		g, ok := got[path]
		switch {
		case !ok:
			t.Errorf("%s: %s is missing", what, path)
		case g != w:
			t.Errorf("%s: %s is %v, want %v; contents equal: %t", what, path, g, w, g.contents == w.contents)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: %s should not be there", what, path)
		}
	}
}

// stdin runs a program on data and returns what it printed.
func stdin(data []byte, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}
