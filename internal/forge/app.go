// Package forge is the imperative shell: it reads the cluster file and the
// store, runs the pure steps in order and writes what they return. Clock and
// entropy enter here, as fields, and nowhere else.
package forge

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
	"github.com/imgforge/imgforge/pki"
)

// App carries what the outside world gives. All fields must be set.
type App struct {
	Now    func() time.Time
	Rand   io.Reader
	Getenv func(string) string
	// Log takes progress; never data, never a secret.
	Log io.Writer
}

// Source says which cluster is meant.
type Source struct {
	// File is the cluster file, "-" for In.
	File string
	// Example names an embedded example instead of a file.
	Example string
	// Store is the store folder; "" means store/ beside the cluster file.
	Store string
	In    io.Reader
	// Out is the folder of the build whose programs payloads name where nodes fetch
	// them; "" means out.
	Out string
	// Lock is the lock of that build; "" means the one beside the cluster file.
	Lock string
	text []byte // of In, once it was read, or of File as it is about to be
}

// maxClusterFile bounds what is read before it is parsed, in bytes; the parser refuses less.
const maxClusterFile = 8 << 20

// read returns the name that problems carry and the bytes of the cluster file.
func (s Source) read() (string, []byte, error) {
	if s.Example != "" {
		data, err := examples.Read(s.Example)
		if err != nil {
			return "", nil, invalid("", err.Error(), "see imgforge build --help")
		}
		return s.Example + ".yaml", data, nil
	}
	if s.text != nil && s.File != "-" {
		return s.File, s.text, nil
	}
	if s.text != nil {
		return "<stdin>", s.text, nil
	}
	if s.File == "-" && s.In == nil {
		return "", nil, errors.New("this command does not read the cluster file from standard input: name a file with -f")
	}
	if s.File == "-" {
		data, err := io.ReadAll(io.LimitReader(s.In, maxClusterFile))
		if err != nil {
			return "", nil, fmt.Errorf("read the cluster file from standard input: %w", err)
		}
		return "<stdin>", data, nil
	}
	f, err := os.Open(s.File)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, &report.Invalid{Report: report.Report{Problems: []report.Problem{{
			File: s.File, Message: "there is no such file", Fix: "run `imgforge init`, or name the cluster file with -f"}}}}
	}
	if err != nil {
		return "", nil, fmt.Errorf("read the cluster file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxClusterFile))
	if err != nil {
		return "", nil, fmt.Errorf("read the cluster file %s: %w", s.File, err)
	}
	return s.File, data, nil
}

// kept reads standard input once, so that a source can be loaded again.
func (s Source) kept() (Source, error) {
	if s.File != "-" || s.Example != "" {
		return s, nil
	}
	_, text, err := s.read()
	s.text = text
	return s, err
}

// storeDir is where the store of this source lies.
func (s Source) storeDir() string {
	if s.Store != "" {
		return s.Store
	}
	if s.File == "-" || s.File == "" {
		return "store"
	}
	return filepath.Join(filepath.Dir(s.File), "store")
}

// cluster is a cluster file that was read, checked and planned.
type cluster struct {
	file   string
	dir    string // of the store
	spec   *spec.Cluster
	place  *spec.Source
	plan   *plan.Plan
	report report.Report // located and sorted; holds warnings only after load
	// programs are what payloads name where nodes fetch them; nil until known.
	programs *programs
}

// check reads, parses and plans, and reports every problem that can be known
// together: those of the file first, and those of the plan when the file holds.
func (a *App) check(src Source, facts func(*spec.Cluster) (plan.Facts, error)) (*cluster, error) {
	name, data, err := src.read()
	if err != nil {
		return nil, err
	}
	c := &cluster{file: name, dir: src.storeDir()}
	c.spec, c.place, c.report = spec.Parse(name, data)
	if c.report.Errors() > 0 {
		return c, nil
	}
	f, err := facts(c.spec)
	if err != nil {
		return nil, err
	}
	var found report.Report
	c.plan, found = plan.New(c.spec, f)
	c.place.Locate(&found)
	c.report.Add(found.Problems...)
	c.report.Sort()
	return c, nil
}

// load is check for commands that need a plan: problems end them.
func (a *App) load(src Source, facts func(*spec.Cluster) (plan.Facts, error)) (*cluster, error) {
	c, err := a.check(src, facts)
	if err != nil {
		return nil, err
	}
	if err := c.report.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// noFacts plans a cluster as if it had no store.
func noFacts(*spec.Cluster) (plan.Facts, error) { return plan.Facts{}, nil }

// storeFacts reads what the store anchors, without any identity; a cluster
// without a store has no facts yet.
func storeFacts(dir string) func(*spec.Cluster) (plan.Facts, error) {
	return func(c *spec.Cluster) (plan.Facts, error) {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return plan.Facts{}, nil
		}
		st, err := pki.Open(dir, c.Name, pki.Identities{})
		if err != nil {
			return plan.Facts{}, err
		}
		return st.Facts()
	}
}

// Validate reports every problem of a cluster file, those included that only
// rendering finds. The error is of reading it.
func (a *App) Validate(src Source) (report.Report, error) {
	c, err := a.check(src, storeFacts(src.storeDir()))
	if err != nil {
		if invalid, ok := errors.AsType[*report.Invalid](err); ok {
			return invalid.Report, nil
		}
		return report.Report{}, err
	}
	if c.report.Errors() > 0 {
		return c.report, nil
	}
	if err := c.rehearse(); err != nil {
		return report.Report{}, err
	}
	return c.report, nil
}

func (a *App) logf(format string, args ...any) { fmt.Fprintf(a.Log, format+"\n", args...) }

// Minors lists the Kubernetes minors that payloads can be made for.
func Minors() []string { return plan.Minors() }
