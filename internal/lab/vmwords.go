package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// How long a machine may take to hand over what it wrote, also when somebody who
// interrupted the lab waits for it.
const (
	boundKeep  = 90 * time.Second
	boundLeave = 20 * time.Second
)

// power makes a machine of the trial and powers it on.
func (t *Trial) power(ctx context.Context, o MachineOptions) (*VM, error) {
	v, err := t.Machine(ctx, o)
	if v != nil {
		t.machines = append(t.machines, v)
	}
	return v, err
}

// keepMachines saves what machines that have power wrote in this boot: their
// journals, and for the report what each step of the boot said last.
func (t *Trial) keepMachines(ctx context.Context) {
	bound := boundKeep
	if ctx.Err() != nil {
		bound = boundLeave
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer cancel()
	err := each(t.machines, func(v *VM) error {
		if v.cmd == nil {
			return nil
		}
		words, err := v.words(ctx)
		t.seen.Lock()
		for _, w := range words {
			w.Phase = t.phase
			t.result.Words = append(t.result.Words, w)
		}
		t.seen.Unlock()
		return errors.Join(err, v.keepJournal(ctx))
	})
	if err != nil {
		t.logf("not all that the machines wrote is kept: %v", err)
	}
}

// words are the machine's own: one for every step that said something.
func (v *VM) words(ctx context.Context) (words []Word, err error) {
	out, err := v.Run(ctx, "sh", "-c", "cat /run/imgforge/steps/*.json")
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var said struct {
			Step, State, Text string
			Code              int
			Since             time.Time
		}
		err := d.Decode(&said)
		if errors.Is(err, io.EOF) {
			return words, nil
		}
		if err != nil {
			return words, fmt.Errorf("machine %s: its steps: %w", v.Name, err)
		}
		words = append(words, Word{Node: v.Name, Step: said.Step, State: said.State, Code: said.Code, Text: said.Text,
			Seconds: v.after(said.Since).Seconds()})
	}
}

// after is how long after the power-on something was said, by a clock of the machine
// that may have been off then.
func (v *VM) after(said time.Time) time.Duration {
	d := said.Sub(v.PoweredOn)
	if d < 0 || d > time.Since(v.PoweredOn) {
		d -= v.made.Ahead
	}
	return d
}

// keepJournal saves the end of the boot's journal, beside the console.
func (v *VM) keepJournal(ctx context.Context) error {
	out, err := v.Run(ctx, "journalctl", "--boot", "--output=short-monotonic", "--no-pager", "--quiet", "--lines=4000")
	if err != nil {
		return err
	}
	return os.WriteFile(v.artifact(fmt.Sprintf("journal-%d.log", v.boots)), []byte(out), 0o600)
}
