// Package cli is the command line: each command parses, calls forge and prints.
// Data goes to stdout, everything else to stderr.
package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/report"
)

// Streams are the three standard streams.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Exit codes of the program.
const (
	exitDone   = 0 // done
	exitFailed = 1 // the work failed
	exitUsage  = 2 // the cluster file or the command line is wrong
)

// Run executes one command line and returns its exit code.
func Run(ctx context.Context, args []string, s Streams, getenv func(string) string) int {
	app := &forge.App{Now: time.Now, Rand: rand.Reader, Getenv: getenv, Log: s.Err}
	root := newRoot(app)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	err := root.ExecuteContext(ctx)
	if _, halfway := errors.AsType[*forge.Unfinished](err); err != nil && ctx.Err() != nil && !halfway {
		fmt.Fprintln(s.Err, "imgforge: interrupted; nothing is left half done: run it again")
		return exitFailed
	}
	return conclude(err, s.Err)
}

// conclude prints an error once, in the form that fits it, and picks the exit code.
func conclude(err error, w io.Writer) int {
	if err == nil {
		return exitDone
	}
	if invalid, ok := errors.AsType[*report.Invalid](err); ok {
		fmt.Fprintln(w, invalid.Error())
		return exitUsage
	}
	if usage, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(w, "imgforge: %v\n", usage)
		return exitUsage
	}
	if verdict, ok := errors.AsType[*verdictError](err); ok {
		fmt.Fprintln(w, verdict.Error())
		return exitFailed
	}
	fmt.Fprintf(w, "imgforge: %v\n", err)
	return exitFailed
}

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, a ...any) error { return &usageError{fmt.Errorf(format, a...)} }

// verdictError ends a command that did its work and found the answer to be no:
// its text is already complete and carries no prefix.
type verdictError struct{ text string }

func (e *verdictError) Error() string { return e.text }

const about = `imgforge turns one cluster file into everything an HA Kubernetes cluster boots from:
a PKI, one Ignition or cloud-init payload per role or node, and config drives.
Nodes find their identity, join the mesh, form etcd and start the control plane
by themselves on first boot.

Start with:  imgforge build --example scaleway-ha, or imgforge init for a cluster of your own
Exit codes:  0 done, 1 failed, 2 the cluster file or the command line is wrong.`

func newRoot(app *forge.App) *cobra.Command {
	root := &cobra.Command{
		Use:           "imgforge",
		Short:         "One cluster file in; everything an HA Kubernetes cluster boots from out",
		Long:          about,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no command %q; see imgforge --help", args[0])
			}
			return nil
		},
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version: version(),
	}
	root.SetVersionTemplate("{{.Version}}")
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%v; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newInit(app), newValidate(app), newPlan(app), newBuild(app), newRender(app), newClaims(app),
		newPKI(app), newSecret(app), newSnapshot(app), newKubeconfig(app), newMeshConfig(app), newVerify(app), newTest(app), newDoctor(app),
		newUp(app), newDown(app), newPublish(app), newExport(app), newLock(app), newFetch(app), newCache(app), newBase(app),
		newSchema(), newVersion(app),
	)
	return root
}

// newHelp is cobra's help command with this program's exit code for a command
// that there is none of.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Show the help of a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usagef("there is no command %q; see imgforge --help", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// exact and none are cobra's argument checks with this program's exit code and words.
func exact(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usagef("%s takes no argument, not %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
		}
		return usagef("%s takes %s; see %s --help", cmd.CommandPath(), strings.Join(names, " and "), cmd.CommandPath())
	}
}

// incomplete is what a command does that is nothing without one of those below it.
func incomplete(cmd *cobra.Command, _ []string) error {
	var below []string
	for _, c := range cmd.Commands() {
		below = append(below, c.Name())
	}
	return usagef("%s needs a command after it: %s; see %[1]s --help", cmd.CommandPath(), strings.Join(below, ", "))
}

// days is the flag of a number of days.
type days int

func (d *days) String() string { return strconv.Itoa(int(*d)) }
func (d *days) Type() string   { return "number" }

func (d *days) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return errors.New("it takes a whole number of days")
	}
	*d = days(n)
	return nil
}

// clusterFlags adds the flags of every command that reads a cluster file.
func clusterFlags(cmd *cobra.Command, src *forge.Source) {
	cmd.Flags().StringVarP(&src.File, "file", "f", "cluster.yaml", "cluster file, - for standard input")
	cmd.Flags().StringVar(&src.Store, "store", "", "store folder (default: store/ beside the cluster file)")
}
