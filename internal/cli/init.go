package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/spec"
)

func newInit(app *forge.App) *cobra.Command {
	var o forge.InitOptions
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Write a commented cluster file from an example, and make its store",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Source.File == "-" {
				return usagef("init writes a file, and - is none: name it with -f")
			}
			res, err := app.Init(cmd.Context(), o)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.ErrOrStderr(), strings.Join(res, "\n")+"\n")
			return nil
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVar(&o.Source.Example, "example", "scaleway-ha", strings.Join(examples.Names(), " | "))
	cmd.Flags().StringVar(&o.Name, "name", "", "cluster name, over the example's")
	cmd.Flags().BoolVar(&o.NoStore, "no-store", false, "write the cluster file only; make the store later with imgforge pki init")
	return cmd
}

func newSchema() *cobra.Command {
	var reference bool
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the cluster file",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			data := spec.Schema()
			if reference {
				data = spec.Reference()
			}
			_, err := cmd.OutOrStdout().Write(data)
			return err
		},
	}
	cmd.Flags().BoolVar(&reference, "reference", false, "print the reference as markdown instead")
	return cmd
}

// version is what the binary says of itself.
func version() string {
	version, revision := "devel", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value
			}
		}
	}
	return fmt.Sprintf("imgforge %s%s %s %s/%s\nkubernetes %s\n", version, revision,
		runtime.Version(), runtime.GOOS, runtime.GOARCH, strings.Join(forge.Minors(), " "))
}
