package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/lab"
	"github.com/imgforge/imgforge/internal/toolchain"
)

// testOptions choose what the lab boots and where it leaves its report.
type testOptions struct {
	topologies     []string
	report, source string
	system         string // of virtual machines
	markdown       string
	keep, list, vm bool
	out            string
	cluster        forge.Source
	faults, full   bool
	fault          []string
	anyCommit      bool
}

func newTest(app *forge.App) *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Boot a cluster in a lab on this machine and say what held",
		Long: `Test boots nodes from payloads as they are, on a network that leads nowhere, watches them assemble themselves, cuts
their power, and leaves a report: when each step was reached, counted from power-on, and what each check saw.

Nodes are systemd-nspawn containers (root, on Debian) or virtual machines (qemu, no root), as the topology says; --list
shows them. Everything that runs in them is built from the source tree: the first run takes long.

Without --topology it boots what imgforge build wrote. Of that it cannot boot, and refuses before it builds anything:
  an os.family other than imgforge and debian; debian where the platform has no cidata drive (libvirt has one);
  machines that are not amd64; addons.cni: none and addons.kubeProxy: false;
  disks besides the root: etcd.dataDisk, and dataDisk and rootDisk of roles and nodes.
A Kubernetes that differs from the lab's own is refused when that is built. Containers are asked as an operator asks,
with imgforge kubeconfig: that takes the authority identity, and endpoint.access or network.operators. With --vm,
os.family is imgforge.

With --faults it boots topologies of its own and lets things go wrong, one after the other, while clients write and read
all along: one row of each class, or with --full every row. What they were told is stored must be there afterwards.
A report folder is continued: rows of the same commit (with --any-commit: of any) that are in
it are not shown again, unless --fault names them.`,
		Example: "  imgforge test --list\n  imgforge test --topology tinc-vip --report lab\n  imgforge test --faults --topology tinc-vip --fault 'kill -9 etcd*'",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			faults, err := o.wantsFaults()
			if err != nil {
				return err
			}
			if o.list && faults {
				return listFaults(cmd.OutOrStdout(), o)
			}
			if o.list {
				return listTopologies(cmd.OutOrStdout())
			}
			return runTest(cmd.Context(), app, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	clusterFlags(cmd, &o.cluster)
	cmd.Flags().StringVarP(&o.out, "out", "o", "out", "what imgforge build wrote, when no topology is named")
	cmd.Flags().BoolVar(&o.vm, "vm", false, "boot what was built in virtual machines: each with a kernel of its own, and Ignition in the initrd")
	cmd.Flags().StringVar(&o.system, "system", "", "folder that virtual machines boot from; root makes it once, then it takes qemu alone: no root and no source tree")
	cmd.Flags().StringArrayVar(&o.topologies, "topology", nil, "cluster to boot, see --list; can be given several times")
	cmd.Flags().BoolVar(&o.list, "list", false, "list the topologies")
	cmd.Flags().StringVar(&o.report, "report", "lab-report", "folder for report.json, report.md and what the nodes wrote")
	cmd.Flags().StringVar(&o.markdown, "markdown", "", "write report.md to this file too")
	cmd.Flags().StringVar(&o.source, "source", ".", "folder in imgforge's source tree, whose go.mod is there or above")
	cmd.Flags().BoolVar(&o.faults, "faults", false, "show the table of faults, one row of each class")
	cmd.Flags().BoolVar(&o.full, "full", false, "with --faults: every row")
	cmd.Flags().BoolVar(&o.anyCommit, "any-commit", false, "with --faults: keep the report folder's rows of other commits too; each names its own")
	cmd.Flags().StringArrayVar(&o.fault, "fault", nil, "with --faults: rows whose name or class matches this pattern, also those that were shown; can be given several times")
	cmd.Flags().BoolVar(&o.keep, "keep", false, "keep the nodes until interrupted, and say how to look inside")
	return cmd
}

func listTopologies(w io.Writer) error {
	for _, t := range lab.Topologies() {
		if _, err := fmt.Fprintf(w, "%-16s %-15s %s\n", t.Name, t.Kind, t.About); err != nil {
			return err
		}
	}
	return nil
}

// runTest runs topologies one after the other and writes the report, also of a failure.
func runTest(ctx context.Context, app *forge.App, o testOptions, out, progress io.Writer) error {
	var chosen []lab.Topology
	var err error
	if o.faults {
		chosen, err = o.faultTopologies()
	} else {
		chosen, err = choose(ctx, app, o)
	}
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, progress)
	if err != nil {
		return err
	}
	defer b.close()
	for _, t := range chosen {
		if err := lab.Unable(t.Kind, b.ready, b.config.Tool); err != nil {
			return usagef("%s: %v", t.Name, err)
		}
	}
	if o.faults {
		return b.runFaults(ctx, chosen, out)
	}
	return b.run(ctx, chosen, out)
}

// choose lists what is to be booted: topologies by name, or what was built.
func choose(ctx context.Context, app *forge.App, o testOptions) (chosen []lab.Topology, err error) {
	for _, name := range o.topologies {
		t, err := lab.Find(name)
		if err != nil {
			return nil, usagef("%v; see imgforge test --list", err)
		}
		chosen = append(chosen, t)
	}
	if len(chosen) > 0 {
		return chosen, nil
	}
	kind := lab.Container
	if o.vm {
		kind = lab.Machine
	}
	t, err := lab.FromOutput(ctx, lab.Built{Out: o.out, App: app, Source: o.cluster}, kind)
	if err != nil {
		return nil, usagef("%v", err)
	}
	return []lab.Topology{t}, nil
}

// bench is what all topologies of one command line share.
type bench struct {
	options  testOptions
	config   lab.Config
	progress *lab.Progress
	report   *lab.Report
	temp     string
	ready    bool // what virtual machines boot from is there
}

func newBench(ctx context.Context, o testOptions, progress io.Writer) (*bench, error) {
	ready := lab.SystemIsThere(o.system)
	root, err := toolchain.Root(o.source)
	if err != nil && !ready {
		return nil, usagef("%v", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, ready: ready, progress: lab.NewProgress(progress, isTerminal(progress))}
	if b.temp, err = os.MkdirTemp("", "imgforge-test-"); err != nil {
		return nil, err
	}
	if ready {
		root = "" // nothing needs to be built
	}
	helper := sync.OnceValues(func() (string, error) { return toolchain.Helper(ctx, root, b.temp) })
	b.config = lab.Config{Cache: filepath.Join(cache, "imgforge", "lab"), System: o.system, Log: b.progress, Tool: func(name string) (string, error) {
		if root == "" {
			return exec.LookPath(name)
		}
		if name == "imgforge-node" {
			return helper()
		}
		// Some take minutes, once per user: silence would look like an end.
		slow := time.AfterFunc(2*time.Second, func() { fmt.Fprintf(b.progress, "building %s\n", name) })
		defer slow.Stop()
		return toolchain.Path(ctx, root, name)
	}}
	if o.keep {
		b.config.Hold = b.hold
	}
	if b.report, err = lab.NewReport(ctx, b.config, root); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	b.progress.Close()
	os.RemoveAll(b.temp)
}

// hold keeps the nodes until the command is interrupted.
func (b *bench) hold(ctx context.Context, t *lab.Trial) {
	fmt.Fprintf(b.progress, "the nodes stay until you interrupt this. To look inside:\n%s", t.HowToLook())
	<-ctx.Done()
}

// run runs topologies and writes the report after each.
func (b *bench) run(ctx context.Context, chosen []lab.Topology, out io.Writer) error {
	begun := time.Now()
	b.report.Started = begun.UTC()
	var errs []error
	for _, t := range chosen {
		config := b.config
		config.Artifacts = filepath.Join(b.options.report, t.Name)
		outcome, err := lab.Run(ctx, config, t)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", t.Name, err))
		}
		b.report.Topologies = append(b.report.Topologies, outcome)
		b.report.Seconds = time.Since(begun).Seconds()
		if err := b.write(config); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if ctx.Err() != nil {
			break
		}
	}
	for _, line := range b.report.Summary() {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintf(out, "report: %s\n", filepath.Join(b.options.report, "report.md"))
	return errors.Join(errs...)
}

// write puts the report into its folder.
func (b *bench) write(config lab.Config) error {
	b.report.Finish(config)
	var text strings.Builder
	markdown := b.report.Markdown
	if b.options.faults {
		markdown = b.report.FaultsMarkdown
	}
	if err := markdown(&text); err != nil {
		return err
	}
	var data strings.Builder
	if err := printJSON(&data, b.report); err != nil {
		return err
	}
	files := map[string]string{filepath.Join(b.options.report, "report.json"): data.String(), filepath.Join(b.options.report, "report.md"): text.String()}
	if b.options.markdown != "" {
		files[b.options.markdown] = text.String()
	}
	if err := os.MkdirAll(b.options.report, 0o755); err != nil {
		return err
	}
	for path, content := range files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// isTerminal tells whether a stream shows its text to a person.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}
