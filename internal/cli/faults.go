package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/lab"
)

// faultRows are the rows that a command line chooses.
func (o testOptions) faultRows() lab.FaultOptions {
	return lab.FaultOptions{Full: o.full, Patterns: o.fault}
}

// wantsFaults refuses flags that go together with --faults alone, and tells whether
// the table of faults is meant.
func (o testOptions) wantsFaults() (bool, error) {
	if !o.faults && (o.full || len(o.fault) > 0 || o.anyCommit) {
		return false, usagef("--full, --fault and --any-commit choose rows of the table of faults: write --faults too")
	}
	if o.faults && o.full && len(o.fault) > 0 {
		return false, usagef("--full is the whole matrix, --fault are rows of it: write one of them")
	}
	return o.faults, nil
}

// faultTopologies are those named, or all that faults are shown on.
func (o testOptions) faultTopologies() (chosen []lab.Topology, err error) {
	for _, name := range o.topologies {
		t, err := lab.Find(name)
		if err != nil {
			return nil, usagef("%v; see imgforge test --list", err)
		}
		chosen = append(chosen, t)
	}
	if len(chosen) == 0 {
		chosen = lab.FaultTopologies()
	}
	if err := o.faultRows().Check(chosen); err != nil {
		return nil, usagef("%v", err)
	}
	return chosen, nil
}

// listFaults lists the rows; s marks those of the short table.
func listFaults(w io.Writer, o testOptions) error {
	chosen, err := o.faultTopologies()
	if err != nil {
		return err
	}
	for _, t := range chosen {
		rows, err := t.Faults()
		if err != nil {
			return err
		}
		for _, f := range rows {
			mark := " "
			if f.Short {
				mark = "s"
			}
			if _, err := fmt.Fprintf(w, "%-16s %s %-28s %s\n", t.Name, mark, f.Class, f.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// runFaults shows rows, topology by topology, and saves the report after each row.
func (b *bench) runFaults(ctx context.Context, chosen []lab.Topology, out io.Writer) error {
	if err := b.resume(); err != nil {
		return err
	}
	begun, before := time.Now(), b.report.Seconds
	b.report.Started = begun.UTC()
	var errs []error
	for _, t := range chosen {
		config := b.config
		config.Artifacts = filepath.Join(b.options.report, t.Name)
		save := func() error {
			b.report.Seconds = before + time.Since(begun).Seconds()
			return b.write(config)
		}
		err := lab.RunFaults(ctx, config, t, b.options.faultRows(), b.report.Commit, b.report.OutcomeOf(t), save)
		if err = errors.Join(err, save()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if b.options.wholeTable() && ctx.Err() == nil {
		errs = append(errs, b.comparePeer(ctx, chosen[0]))
	}
	b.report.Seconds = before + time.Since(begun).Seconds()
	errs = append(errs, b.write(b.config))
	for _, line := range b.report.FaultSummary() {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "report: %s\n", filepath.Join(b.options.report, "report.md"))
	return errors.Join(errs...)
}

// wholeTable tells whether no part of the table was chosen: the cluster beside which
// kubeadm's is measured is part of it then.
func (o testOptions) wholeTable() bool { return len(o.topologies) == 0 && len(o.fault) == 0 }

// comparePeer has kubeadm make a cluster of as many nodes as a topology has, once in a report.
func (b *bench) comparePeer(ctx context.Context, t lab.Topology) error {
	o := b.report.OutcomeOf(t)
	if o.Peer != nil {
		return nil
	}
	config := b.config
	config.Artifacts = filepath.Join(b.options.report, "kubeadm-peer")
	peer, err := lab.ComparePeer(ctx, config)
	if err != nil {
		return fmt.Errorf("beside kubeadm: %w", err)
	}
	o.Peer = peer
	return nil
}

// resume takes over rows of the report folder that are of the same commit, or of any.
func (b *bench) resume() error {
	path := filepath.Join(b.options.report, "report.json")
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var earlier lab.Report
	if err == nil {
		err = json.Unmarshal(data, &earlier)
	}
	if err != nil {
		return usagef("%s is no report that could be continued: %v; name another folder with --report", path, err)
	}
	b.report.Resume(&earlier, b.options.anyCommit)
	return nil
}
