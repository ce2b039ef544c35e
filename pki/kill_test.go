package pki

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// TestMain is also the program that the kill tests run and kill.
func TestMain(m *testing.M) {
	if os.Getenv("PKI_CHILD") == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// operation is one write of a store: what is there before, and what is done.
type operation struct {
	name   string
	before *plan.Plan // nil: no store yet
	after  *plan.Plan
	do     func(ctx context.Context, s *Store, p *plan.Plan) error
}

func operations() []operation {
	issue := func(ctx context.Context, s *Store, p *plan.Plan) error {
		_, err := s.Issue(ctx, p)
		return err
	}
	renew := func(ctx context.Context, s *Store, p *plan.Plan) error {
		_, err := s.Renew(ctx, p, func(e Entry) bool { return e.NotAfter.Before(noon.Add(400 * 24 * time.Hour)) })
		return err
	}
	return []operation{
		{name: "init", after: cluster(1, 0)},
		{"issue", cluster(1, 0), cluster(1, 1), issue},
		{"renew", cluster(1, 1), cluster(1, 1), renew},
	}
}

// child performs an operation and kills itself, with the signal that cannot be
// caught, at the step that PKI_KILL counts.
func child() error {
	ids, err := Locations{Getenv: os.Getenv, Cluster: "nostromo"}.Load()
	if err != nil {
		return err
	}
	at, err := strconv.Atoi(os.Getenv("PKI_KILL"))
	if err != nil {
		return err
	}
	var steps atomic.Int64
	step := func(string) {
		if int(steps.Add(1)) == at {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	for _, op := range operations() {
		if op.name == os.Getenv("PKI_CHILD") {
			return perform(op, os.Getenv("PKI_DIR"), ids, step)
		}
	}
	return errors.New("no such operation")
}

func perform(op operation, dir string, ids Identities, step func(string)) error {
	ctx := context.Background()
	s := newStore(dir, ids)
	s.Now, s.step = func() time.Time { return noon }, step
	if op.before == nil {
		_, err := s.init(ctx, op.after, Options{Identities: ids})
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	return op.do(ctx, s, op.after)
}

// killed runs an operation in a child and reports whether it was killed.
func killed(t *testing.T, op operation, dir string, secrets []string, at int, after time.Duration) bool {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PKI_CHILD="+op.name, "PKI_DIR="+dir, "PKI_KILL="+strconv.Itoa(at),
		"IMGFORGE_IDENTITY="+secrets[0], "IMGFORGE_AUTHORITY_IDENTITY="+secrets[1])
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		time.Sleep(after)
		_ = cmd.Process.Kill()
	}
	err := cmd.Wait()
	if err == nil {
		return false
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("%s: %v\n%s", op.name, err, out.String())
	}
	return true
}

// state is everything a store answers, secrets included: nil when there is none.
func state(t *testing.T, dir string, ids Identities) map[string]string {
	t.Helper()
	s, err := Open(dir, "nostromo", ids)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "there is no store at ") {
			t.Fatal(err)
		}
		return nil
	}
	out := map[string]string{}
	for _, e := range s.index.all() {
		secret, err := s.open(e)
		if err != nil {
			t.Fatal(err)
		}
		out[e.Kind+" "+e.ID] = string(s.files[e.publicPath()]) + string(secret)
	}
	return out
}

// judge fails unless the store is the old one or the new one.
func judge(t *testing.T, op operation, dir string, ids Identities, old map[string]string) (isNew bool) {
	t.Helper()
	now := state(t, dir, ids)
	changed := diff(old, now)
	if len(changed) == 0 {
		return false
	}
	s, err := Open(dir, "nostromo", ids)
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := s.Missing(op.after); err != nil || len(missing) > 0 {
		t.Fatalf("neither old nor new: %v lack, %v, changed %v", missing, err, changed)
	}
	want := 0
	switch op.name {
	case "init":
		want = len(now)
	case "issue":
		want = len(op.after.Certificates) + len(op.after.Keys) - len(op.before.Certificates) - len(op.before.Keys)
	case "renew":
		want = len(op.after.Certificates)
	}
	if len(changed) != want {
		t.Fatalf("%d entries changed instead of %d: a mixture: %v", len(changed), want, changed)
	}
	return true
}

// nothingLeft fails when files are there that no index names.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	x, err := decodeIndex(data)
	if err != nil {
		t.Fatal(err)
	}
	named := x.files()
	for path, entry := range tree(t, dir) {
		if !strings.HasPrefix(entry, "d") && !named[path] && !strings.HasPrefix(path, ".git") {
			t.Errorf("%s is left over", path)
		}
	}
}

// A run is killed after each of its steps. What is left is the old store or the
// new one, and the next run completes it and leaves nothing behind.
func TestKilledAtEveryStep(t *testing.T) {
	leaf, _ := text(t)
	authority, _ := text(t)
	secrets := []string{leaf, authority}
	ids, err := Locations{Getenv: env("IMGFORGE_IDENTITY", leaf, "IMGFORGE_AUTHORITY_IDENTITY", authority)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			olds, news := 0, 0
			base := filepath.Join(t.TempDir(), "base")
			if op.before != nil {
				if err := perform(operation{after: op.before}, base, ids, nil); err != nil {
					t.Fatal(err)
				}
			}
			for at := 1; ; at++ {
				dir := filepath.Join(t.TempDir(), "store")
				if op.before != nil {
					if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
						t.Fatal(err)
					}
				}
				old := state(t, dir, ids)
				if !killed(t, op, dir, secrets, at, 0) {
					break
				}
				if judge(t, op, dir, ids, old) {
					news++
				} else {
					olds++
				}
				again := op
				if op.name == "init" && state(t, dir, ids) != nil {
					again = operation{"issue", op.after, op.after, operations()[1].do}
				}
				if err := perform(again, dir, ids, nil); err != nil {
					t.Fatalf("the run after the one killed at step %d: %v", at, err)
				}
				nothingLeft(t, dir)
			}
			if olds < 3 || news < 2 {
				t.Errorf("killed %d times before and %d times after the change: the steps are not covered", olds, news)
			}
		})
	}
}

// A run is killed from outside, whatever it is doing.
func TestKilledAtAnyTime(t *testing.T) {
	leaf, _ := text(t)
	authority, _ := text(t)
	ids, err := Locations{Getenv: env("IMGFORGE_IDENTITY", leaf, "IMGFORGE_AUTHORITY_IDENTITY", authority)}.Load()
	if err != nil {
		t.Fatal(err)
	}
	op := operations()[2]
	dir := filepath.Join(t.TempDir(), "store")
	if err := perform(operation{after: op.before}, dir, ids, nil); err != nil {
		t.Fatal(err)
	}
	for ms := 10; ms <= 80; ms += 7 {
		old := state(t, dir, ids)
		killed(t, op, dir, []string{leaf, authority}, 0, time.Duration(ms)*time.Millisecond)
		judge(t, op, dir, ids, old)
	}
	if err := perform(op, dir, ids, nil); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t, dir)
}
