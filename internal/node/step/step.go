// Package step is where the steps of a node's boot leave word: on the console, in
// the journal and, for the status page, in one file per step.
package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Names of the steps, in the order of the boot.
const (
	Claim        = "claim"
	Time         = "time"
	Mesh         = "mesh"
	Images       = "images"
	Kubelet      = "kubelet"
	Etcd         = "etcd"
	Snapshot     = "snapshot" // masters' copies of etcd, which nothing of the boot waits for
	ControlPlane = "control-plane"
	Addons       = "addons"
	Serving      = "serving" // kubelets' certificates, which masters approve
	Endpoint     = "endpoint"
	PublicIP     = "public-ip" // on proxies that move the role's address
	Reboot       = "reboot"
	Helper       = "helper" // no step of the boot: what performs them
)

// Names lists the steps in the order of the boot, the helper itself last.
func Names() []string {
	return []string{Claim, Time, Mesh, Images, Kubelet, Etcd, ControlPlane, Addons, Serving, Endpoint, PublicIP, Reboot, Helper}
}

// folder holds one file per step; it is gone after a power cycle.
const folder = "/run/imgforge/steps"

// States of a step.
const (
	Waiting = "waiting" // it says what for, and needs nobody yet
	Failed  = "failed"  // a code that somebody has to act on
	Warning = "warning" // a code that passes, or a step that went on all the same
	Done    = "done"
)

// Record is the last word of one step.
type Record struct {
	Step  string `json:"step"`
	State string `json:"state"`
	Code  int    `json:"code,omitempty"` // of a failed step or a warning
	// Text is the whole text of the code, or one line.
	Text  string    `json:"text"`
	Since time.Time `json:"since"` // when this was first said, UTC
}

// Reporter takes the word of one component. Saying the same again is free: only
// what is new is shown.
type Reporter interface {
	// Failed tells that the code's step ended badly, or goes on with a warning.
	Failed(f *bootcode.Failure)
	// Waiting tells what a step waits for.
	Waiting(step, what string)
	// Done tells that a step reached its end, and what that is.
	Done(step, what string)
}

// Log is the Reporter of a node. The zero value is not ready: Root and Stderr must be set.
type Log struct {
	Root   string    // "/" on a node
	Stderr io.Writer // under systemd the unit sends it to journal and console
	Now    func() time.Time

	mu   sync.Mutex
	last map[string]Record
}

// Failed is that of [Reporter].
func (l *Log) Failed(f *bootcode.Failure) {
	state := Failed
	if f.Code.Warning {
		state = Warning
	}
	l.say(Record{Step: f.Code.Step, State: state, Code: f.Code.Number, Text: f.Error()})
}

// Waiting is that of [Reporter].
func (l *Log) Waiting(step, what string) { l.say(Record{Step: step, State: Waiting, Text: what}) }

// Done is that of [Reporter].
func (l *Log) Done(step, what string) { l.say(Record{Step: step, State: Done, Text: what}) }

func (l *Log) say(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]Record{}
	}
	if old := l.last[r.Step]; old.State == r.State && old.Text == r.Text {
		return
	}
	r.Since = l.Now().UTC()
	l.last[r.Step] = r
	fmt.Fprintln(l.Stderr, r.line())
	if err := l.keep(r); err != nil {
		fmt.Fprintf(l.Stderr, "imgforge: the status will not show this: %v\n", err)
	}
}

// line is what console and journal show.
func (r Record) line() string {
	switch r.State {
	case Waiting:
		return "imgforge: step " + r.Step + " waits: " + r.Text
	case Done:
		return "imgforge: step " + r.Step + " done: " + r.Text
	}
	return r.Text
}

// keep writes the record whole or not at all.
func (l *Log) keep(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := filepath.Join(l.Root, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	temp := filepath.Join(dir, "."+r.Step)
	if err := os.WriteFile(temp, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(dir, r.Step+".json"))
}

// Read returns the last word of every step that has said one, in the order of the boot.
func Read(root string) ([]Record, error) {
	var out []Record
	var errs []error
	for _, name := range Names() {
		data, err := os.ReadFile(filepath.Join(root, folder, name+".json"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var r Record
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read the word of step %s: %w", name, err))
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out), errors.Join(errs...)
}
