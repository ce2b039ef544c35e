package artifact

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func fill(t *Tree, text string) error {
	return errors.Join(
		t.AddBytes(Item{Path: "plan.json", Kind: "plan", Format: "json"}, []byte(text)),
		t.AddBytes(Item{Path: "nodes/master-1/user-data", Kind: "payload", Node: "master-1", Role: "master", Secret: true}, []byte(text+" key")))
}

func build(t *testing.T, dir, text string) {
	t.Helper()
	tree, err := NewTree(dir, TreeInfo{Cluster: "nostromo", LatestBoot: "2027-01-01T00:00:00Z"})
	if err != nil {
		t.Fatal(err)
	}
	if err := fill(tree, text); err != nil {
		t.Fatal(err)
	}
	if err := tree.Commit(); err != nil {
		t.Fatal(err)
	}
}

// snapshot lists path, mode and contents of everything below dir.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, text := strings.TrimPrefix(path, dir), ""
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(data)
		}
		out[rel] = info.Mode().String() + " " + text
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestTreeLayout(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "out")
	build(t, dir, "first")
	want := []string{
		"drwxr-xr-x ", "drwxr-xr-x /public", "-rw-r--r-- /public/SHA256SUMS", "-rw-r--r-- /public/manifest.json", "-rw-r--r-- /public/plan.json",
		"drwx------ /secret", "-rw------- /secret/SHA256SUMS", "-rw------- /secret/manifest.json", "drwx------ /secret/nodes",
		"drwx------ /secret/nodes/master-1", "-rw------- /secret/nodes/master-1/user-data",
	}
	var got []string
	files := snapshot(t, dir)
	for _, path := range slices.Sorted(maps.Keys(files)) {
		mode, _, _ := strings.Cut(files[path], " ")
		got = append(got, mode+" "+path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("layout\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	const manifest = `{
  "schema": "imgforge/manifest/v1",
  "part": "public",
  "cluster": "nostromo",
  "latestBoot": "2027-01-01T00:00:00Z",
  "files": [
    {
      "path": "plan.json",
      "kind": "plan",
      "format": "json",
      "sha256": "a7937b64b8caa58f03721bb6bacf5c78cb235febe0e70b1b84cd99541461a08e",
      "size": 5
    }
  ]
}
`
	if got := strings.TrimPrefix(files["/public/manifest.json"], "-rw-r--r-- "); got != manifest {
		t.Errorf("public manifest\n%s\nwant\n%s", got, manifest)
	}
	if strings.Contains(files["/public/SHA256SUMS"]+files["/public/manifest.json"], "user-data") {
		t.Error("the public part tells about secret files")
	}
	for _, part := range parts() {
		cmd := exec.Command("sha256sum", "--check", "--strict", ChecksumsName)
		cmd.Dir = filepath.Join(dir, part)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("sha256sum in %s: %v\n%s", part, err, out)
		}
	}
}

func TestTreeReplacesItsOwn(t *testing.T) {
	for _, dance := range []bool{false, true} {
		t.Run(fmt.Sprintf("dance=%v", dance), func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			build(t, dir, "first")
			if err := buildAndDie(dir, "", dance); err != nil {
				t.Fatal(err)
			}
			if got := snapshot(t, dir)["/public/plan.json"]; got != "-rw-r--r-- second" {
				t.Errorf("plan.json is %q", got)
			}
			if got := names(t, parent); !slices.Equal(got, []string{"out"}) {
				t.Errorf("left beside it: %q", got)
			}
		})
	}
}

// Order of calls and goroutines leave no trace.
func TestTreeIsDeterministic(t *testing.T) {
	var first map[string]string
	for round := range 2 {
		dir := filepath.Join(t.TempDir(), "out")
		tree, err := NewTree(dir, TreeInfo{Cluster: "c"})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 20 {
			n := i
			if round == 1 {
				n = 19 - i
			}
			wg.Go(func() {
				name := fmt.Sprintf("nodes/n%d/f", n)
				if err := tree.AddBytes(Item{Path: name, Kind: "x", Secret: n%2 == 0}, []byte(name)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := tree.Commit(); err != nil {
			t.Fatal(err)
		}
		if got := snapshot(t, dir); first == nil {
			first = got
		} else if !maps.Equal(first, got) {
			t.Error("two builds differ")
		}
	}
}

func TestTreeRefusesWhatIsNotItsOwn(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"a file": func(t *testing.T, dir string) { write(t, dir, "x") },
		"a folder of somebody else": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "thesis.tex"), "x")
		},
		"a public folder of somebody else": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "public", "index.html"), "x")
		},
		"another manifest": func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "public", "manifest.json"), `{"schema": "other"}`)
		},
		"a file beside the parts": func(t *testing.T, dir string) {
			build(t, dir, "first")
			write(t, filepath.Join(dir, "notes.txt"), "x")
		},
		"a file inside a part": func(t *testing.T, dir string) {
			build(t, dir, "first")
			write(t, filepath.Join(dir, "secret", "nodes", "notes.txt"), "x")
		},
		"a link inside a part": func(t *testing.T, dir string) {
			build(t, dir, "first")
			if err := os.Symlink("/", filepath.Join(dir, "public", "root")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			dir := filepath.Join(parent, "out")
			prepare(t, dir)
			before := snapshot(t, parent)
			_, err := NewTree(dir, TreeInfo{})
			if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "-o") {
				t.Errorf("error %v, want one that names a remedy", err)
			}
			if !maps.Equal(before, snapshot(t, parent)) {
				t.Error("something changed")
			}
		})
	}
}

// What somebody puts there while the build runs is not lost either.
func TestTreeLooksAgainBeforeTheSwap(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "out")
	tree, err := NewTree(dir, TreeInfo{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "thesis.tex"), "x")
	if err := tree.Commit(); !errors.Is(err, ErrForeign) {
		t.Errorf("error %v", err)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"out"}) {
		t.Errorf("left beside it: %q", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTreeAddRefuses(t *testing.T) {
	tree, err := NewTree(filepath.Join(t.TempDir(), "out"), TreeInfo{})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Abort()
	for _, path := range []string{"", ".", "/etc/passwd", "../x", "a/../b", "a\nb", `a\b`, "manifest.json", "SHA256SUMS"} {
		if err := tree.AddBytes(Item{Path: path}, nil); err == nil {
			t.Errorf("%q is accepted", path)
		}
	}
	if err := tree.AddBytes(Item{Path: "a/b"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"a/b", "a", "a/b/c"} {
		if err := tree.AddBytes(Item{Path: path}, nil); err == nil {
			t.Errorf("%q beside a/b is accepted", path)
		}
	}
}

func TestTreeFollowsALink(t *testing.T) {
	parent := t.TempDir()
	if err := os.Symlink("real", filepath.Join(parent, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(parent, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	build(t, filepath.Join(parent, "out"), "first")
	if got := snapshot(t, filepath.Join(parent, "real"))["/public/plan.json"]; got != "-rw-r--r-- first" {
		t.Errorf("plan.json behind the link is %q", got)
	}
	if got := names(t, parent); !slices.Equal(got, []string{"out", "real"}) {
		t.Errorf("beside it: %q", got)
	}
}

func TestTreeRefusesASecondWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	tree, err := NewTree(dir, TreeInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTree(dir, TreeInfo{}); err == nil || !strings.Contains(err.Error(), "another imgforge") {
		t.Errorf("a second writer gets %v", err)
	}
	tree.Abort()
	build(t, dir, "first")
}

func TestTreeAbortLeavesNothing(t *testing.T) {
	parent := t.TempDir()
	tree, err := NewTree(filepath.Join(parent, "out"), TreeInfo{})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := tree.Add(Item{Path: "x"}, func(io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if err := tree.Commit(); err == nil {
		t.Error("a tree with an unfinished file is committed")
	}
	if got := names(t, parent); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}

// A folder is followed by one of the same cluster; one that was built to be
// thrown away by any, and it follows nothing that machines may boot from.
func TestTreeSucceeds(t *testing.T) {
	nostromo, sulaco := TreeInfo{Cluster: "nostromo"}, TreeInfo{Cluster: "sulaco"}
	for _, c := range []struct {
		name          string
		before, after TreeInfo
		refused       error
	}{
		{"the same cluster", nostromo, nostromo, nil},
		{"another cluster", nostromo, sulaco, ErrOtherCluster},
		{"a throwaway one", nostromo, TreeInfo{Cluster: "nostromo", Throwaway: true}, ErrStored},
		{"after a throwaway one", TreeInfo{Cluster: "nostromo", Throwaway: true}, sulaco, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			first, err := NewTree(dir, c.before)
			if err != nil {
				t.Fatal(err)
			}
			if err := first.Commit(); err != nil {
				t.Fatal(err)
			}
			second, err := NewTree(dir, c.after)
			if err == nil {
				second.Abort()
			}
			if !errors.Is(err, c.refused) {
				t.Errorf("got %v, want %v", err, c.refused)
			}
		})
	}
}

// A signature lies beside each manifest, over its very bytes; a folder that is built
// again may have it in its way, and one that cannot be signed does not appear.
func TestTreeIsSigned(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	signed := func(sign func([]byte) ([]byte, error)) error {
		tree, err := NewTree(out, TreeInfo{Cluster: "nostromo", Sign: sign})
		if err != nil {
			t.Fatal(err)
		}
		defer tree.Abort()
		if err := tree.AddBytes(Item{Path: "a", Kind: "file"}, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if public := tree.Public(); len(public) != 1 || public[0].Path != "a" {
			t.Errorf("public holds %v", public)
		}
		return tree.Commit()
	}
	for range 2 {
		if err := signed(func(manifest []byte) ([]byte, error) { return append([]byte("signed "), manifest...), nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{Public, Secret} {
		manifest, err1 := os.ReadFile(filepath.Join(out, part, ManifestName))
		signature, err2 := os.ReadFile(filepath.Join(out, part, SignatureName))
		if err := errors.Join(err1, err2); err != nil || string(signature) != "signed "+string(manifest) {
			t.Errorf("%s: %q, %v", part, signature, err)
		}
	}
	if v, err := Verify(out, VerifyOptions{}); err != nil || !v.OK() {
		t.Errorf("%v, %v", v.Problems, err)
	}
	if err := signed(func([]byte) ([]byte, error) { return nil, errors.New("no key") }); err == nil {
		t.Error("it was written without a signature")
	}
	if v, err := Verify(out, VerifyOptions{}); err != nil || !v.OK() {
		t.Errorf("the folder before is gone: %v, %v", v.Problems, err)
	}
}
