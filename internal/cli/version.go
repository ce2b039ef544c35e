package cli

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newVersion(app *forge.App) *cobra.Command {
	var tools bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of imgforge and of what it generates for",
		Long: `Version prints the version of imgforge and the minors of Kubernetes that it generates for.

With --tools it looks for the programs that baking images runs, and exits with 1 when one is missing. Those
that only imgforge base runs may be missing. Everything else needs none.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := fmt.Fprint(cmd.OutOrStdout(), version()); err != nil || !tools {
				return err
			}
			return printTools(cmd, app.Tools(cmd.Context()))
		},
	}
	cmd.Flags().BoolVar(&tools, "tools", false, "look for the programs that baking images runs")
	return cmd
}

func printTools(cmd *cobra.Command, tools []forge.Tool) error {
	var missing []string
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	for _, t := range tools {
		found := t.Version
		if found == "" {
			found = "missing: install " + t.Install
			if !t.Optional {
				missing = append(missing, t.Name)
			}
		}
		fmt.Fprintf(w, "%s\t%s\tfor %s\n", t.Name, found, t.For)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(missing) > 0 {
		return &verdictError{"imgforge: missing: " + strings.Join(missing, ", ")}
	}
	return nil
}
