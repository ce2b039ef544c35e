package lab

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

// Trial is one run of a topology: a lab with a built cluster in it, and what has
// been seen of it so far.
type Trial struct {
	*Lab
	Topology Topology
	Plan     *plan.Plan
	// Out is the folder that imgforge build wrote; payloads lie in its secret part.
	Out string
	// App and Source answer for the cluster as the command line would.
	App    *forge.App
	Source forge.Source

	seen   sync.Mutex
	result *Outcome
	phase  string

	fixture          // of trials whose nodes are containers
	machines []*VM   // of others
	bucket   *bucket // of trials whose snapshots go into one
}

// build makes the topology's cluster, where it is not one that was built before.
func (t *Trial) build(ctx context.Context) (err error) {
	b := t.Topology.Built
	if b == nil {
		if b, err = t.buildBy(ctx, time.Now, "cluster"); err != nil {
			return err
		}
	}
	t.App, t.Source, t.Out = b.App, b.Source, b.Out
	t.Plan, err = readPlan(t.Out)
	return err
}

// buildBy does what `imgforge pki init` and `imgforge build` do for the topology's
// cluster file by a clock, in a folder of the lab's own.
func (t *Trial) buildBy(ctx context.Context, clock func() time.Time, folder string) (*Built, error) {
	dir := filepath.Join(t.work, folder)
	home := filepath.Join(dir, "home")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	text := t.Topology.Cluster
	if t.bucket != nil {
		text += t.bucket.settings()
	}
	file := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b := &Built{Source: forge.Source{File: file, Store: filepath.Join(dir, "store")}, Out: filepath.Join(dir, "out")}
	b.App = &forge.App{Now: clock, Rand: rand.Reader, Log: t.Log, Getenv: func(name string) string {
		return map[string]string{"HOME": home}[name]
	}}
	if _, err := b.App.PKIInit(ctx, b.Source); err != nil {
		return nil, err
	}
	if t.bucket != nil {
		for name, value := range t.bucket.secrets() {
			if _, err := b.App.SecretSet(ctx, b.Source, name, []byte(value)); err != nil {
				return nil, err
			}
		}
	}
	_, err := b.App.Build(ctx, forge.BuildOptions{Source: b.Source, Out: b.Out})
	return b, err
}

// readPlan reads the plan that a build left beside its payloads.
func readPlan(out string) (*plan.Plan, error) {
	data, err := os.ReadFile(filepath.Join(out, "secret", "plan.json"))
	if err != nil {
		return nil, err
	}
	var p plan.Plan
	return &p, json.Unmarshal(data, &p)
}

// Payload reads a payload of the output folder, such as roles/master.ign.
func (t *Trial) Payload(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(t.Out, "secret", filepath.FromSlash(name)))
}

// Phase names what is being shown from here on, such as "after a power cycle".
func (t *Trial) Phase(name string) {
	t.seen.Lock()
	t.phase = name
	t.seen.Unlock()
	t.logf("%s: %s", t.Topology.Name, name)
}

// Reach waits until something holds of a node (or of the cluster, "") and notes
// how long after since that was, which is the node's power-on.
func (t *Trial) Reach(ctx context.Context, node string, since time.Time, what string, check func(context.Context) error) error {
	t.live(fmt.Sprintf("waiting: %s %s", node, what))
	if err := Await(ctx, what, check); err != nil {
		if node != "" {
			err = fmt.Errorf("%s: %w", node, err)
		}
		return err
	}
	t.Note(node, time.Since(since), what)
	return nil
}

// Note puts a step that was reached into the report.
func (t *Trial) Note(node string, after time.Duration, what string) {
	t.seen.Lock()
	t.result.Steps = append(t.result.Steps, Step{Phase: t.phase, Node: node, What: what, Seconds: after.Seconds()})
	t.seen.Unlock()
	t.logf("%6.1f s  %-9s %s", after.Seconds(), node, what)
}

// Check runs one named check. It has as long as wait to hold, and evidence is what
// convinced it, in one line. A check that fails is reported and ends nothing.
func (t *Trial) Check(ctx context.Context, name string, wait time.Duration, look func(context.Context) (evidence string, err error)) {
	t.live("checking: " + name)
	begun := time.Now()
	evidence := ""
	var last error
	bounded, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	err := Await(bounded, name, func(ctx context.Context) error {
		evidence, last = look(ctx)
		return last
	})
	r := Result{Phase: t.phase, Name: name, Passed: err == nil, Evidence: evidence, Seconds: time.Since(begun).Seconds()}
	if err != nil {
		r.Evidence = last.Error()
	}
	t.seen.Lock()
	t.result.Checks = append(t.result.Checks, r)
	t.seen.Unlock()
	word := "holds"
	if err != nil {
		word = "FAILS"
	}
	t.logf("%s  %s: %s", word, name, r.Evidence)
}

// failed joins the checks that did not hold.
func (o *Outcome) failed() error {
	var errs []error
	for _, c := range o.Checks {
		if !c.Passed {
			errs = append(errs, fmt.Errorf("%s: %s", c.Name, c.Evidence))
		}
	}
	return errors.Join(errs...)
}
