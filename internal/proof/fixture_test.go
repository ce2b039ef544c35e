package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/cli"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// workshop holds what tests make once per run: clusters with their output, trees
// and binaries. It is removed at the end.
type workshop struct {
	dir  string
	mu   sync.Mutex
	made map[string]*piece
}

// piece is one thing that is made once; the first test to ask makes it.
type piece struct {
	mu   sync.Mutex
	done bool
	err  error
}

var work workshop

func TestMain(m *testing.M) {
	if standIn(os.Args[1:]) {
		return
	}
	dir, err := os.MkdirTemp("", "imgforge-proof-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	work = workshop{dir: dir, made: map[string]*piece{}}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var errGivenUp = errors.New("the test that began to make it gave up")

// once runs f the first time that any test asks for name; its error stays.
func (w *workshop) once(t testing.TB, name string, f func(dir string) error) string {
	t.Helper()
	dir := filepath.Join(w.dir, name)
	w.mu.Lock()
	p, ok := w.made[name]
	if !ok {
		p = &piece{}
		w.made[name] = p
	}
	w.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.done {
		p.done = true // also when f ends the test
		if p.err = os.MkdirAll(dir, 0o755); p.err == nil {
			p.err = errGivenUp
			p.err = f(dir)
		}
	}
	if p.err != nil {
		t.Fatalf("%s: %v", name, p.err)
	}
	return dir
}

// built is one of our two binaries, built as users get it.
func built(t testing.TB, name string) string {
	t.Helper()
	dir := work.once(t, "bin/"+name, func(dir string) error {
		root, err := testtool.ModuleRoot()
		if err != nil {
			return err
		}
		cmd := exec.Command("go", "build", "-trimpath", "-o", dir+"/", "./cmd/"+name)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
		return nil
	})
	return filepath.Join(dir, name)
}

// cluster is a cluster file with its store and output folder, made by the commands that a user types.
type cluster struct {
	name string
	dir  string
	plan *plan.Plan
	in   string // standard input of the commands
}

// exampleNames are the embedded examples; a test with none of them would prove nothing.
func exampleNames(t testing.TB) []string {
	t.Helper()
	names := examples.Names()
	if len(names) < 4 {
		t.Fatalf("only the examples %q are embedded", names)
	}
	return names
}

// example is an embedded example, initialised and built once per run.
func example(t testing.TB, name string) *cluster {
	t.Helper()
	c := &cluster{name: name}
	c.dir = work.once(t, "example/"+name, func(dir string) error {
		c := &cluster{name: name, dir: dir}
		for _, args := range [][]string{{"init", "--example", name}, {"pki", "issue"}, {"build", "-o", c.path("out")}} {
			if _, err := c.try(args...); err != nil {
				return err
			}
		}
		return nil
	})
	c.readPlan(t)
	return c
}

// fromFile is a cluster of its own, made from the text of a cluster file.
func fromFile(t testing.TB, text string) *cluster {
	t.Helper()
	c := &cluster{name: t.Name(), dir: t.TempDir()}
	c.write(t, text)
	c.run(t, "pki", "init")
	c.run(t, "pki", "issue")
	c.readPlan(t)
	return c
}

func (c *cluster) write(t testing.TB, text string) {
	t.Helper()
	if err := os.WriteFile(c.path("cluster.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) path(elem ...string) string {
	return filepath.Join(append([]string{c.dir}, elem...)...)
}

// env is what the commands see of the environment: a home of the cluster's own, where identities go.
func (c *cluster) env(name string) string {
	switch name {
	case "HOME":
		return c.path("home")
	case "XDG_CONFIG_HOME":
		return c.path("home", ".config")
	}
	return ""
}

// try runs an imgforge command line on the cluster file in this process.
func (c *cluster) try(args ...string) ([]byte, error) {
	if err := os.MkdirAll(c.path("home", ".config"), 0o700); err != nil {
		return nil, err
	}
	var out, messages bytes.Buffer
	args = append(args, "-f", c.path("cluster.yaml"))
	code := cli.Run(context.Background(), args, cli.Streams{In: strings.NewReader(c.in), Out: &out, Err: &messages}, c.env)
	if code != 0 {
		return nil, fmt.Errorf("imgforge %s: exit %d\n%s", strings.Join(args, " "), code, &messages)
	}
	return out.Bytes(), nil
}

// run is try for what must work; it returns standard output.
func (c *cluster) run(t testing.TB, args ...string) []byte {
	t.Helper()
	out, err := c.try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fitting is run for a payload that may be over the provider's budget, which is
// another test's matter; it tells whether there is one.
func (c *cluster) fitting(t testing.TB, args ...string) ([]byte, bool) {
	t.Helper()
	out, err := c.try(args...)
	if err != nil && strings.Contains(err.Error(), "that the provider accepts") {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return out, true
}

func (c *cluster) readPlan(t testing.TB) {
	t.Helper()
	c.plan = &plan.Plan{}
	if err := json.Unmarshal(c.run(t, "plan", "--json"), c.plan); err != nil {
		t.Fatal(err)
	}
	if len(c.plan.Nodes) == 0 {
		t.Fatalf("%s: the plan has no nodes", c.name)
	}
}

func (c *cluster) node(t testing.TB, name string) plan.Node {
	t.Helper()
	n, ok := c.plan.Node(name)
	if !ok {
		t.Fatalf("%s has no node %s", c.name, name)
	}
	return n
}

// roles are the roles that have slots.
func (c *cluster) roles() []plan.Role {
	var out []plan.Role
	for _, r := range c.plan.Roles {
		if r.Slots > 0 {
			out = append(out, r)
		}
	}
	return out
}
