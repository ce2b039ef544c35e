package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/report"
)

func newValidate(app *forge.App) *cobra.Command {
	var src forge.Source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Show every problem of the cluster file, each with its place and what to write instead",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			found, err := app.Validate(src)
			if err != nil {
				return err
			}
			if asJSON {
				if found.Problems == nil {
					found.Problems = []report.Problem{} // [] says none, null says nothing
				}
				if err := printJSON(cmd.OutOrStdout(), found); err != nil {
					return err
				}
				if found.Errors() > 0 {
					return &report.Invalid{Report: found}
				}
				return nil
			}
			warn(cmd.ErrOrStderr(), found)
			if err := found.Err(); err != nil {
				return err
			}
			verdict := "no problem found"
			if n := len(found.Problems); n > 0 {
				verdict = "no error, " + forge.Counted(n, "warning")
			}
			name := src.File
			if name == "-" {
				name = "<stdin>"
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", name, verdict)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the problems as JSON on stdout")
	return cmd
}

// warn prints a report's warnings; its errors are printed where the program ends.
func warn(w io.Writer, r report.Report) {
	for _, p := range r.Problems {
		if p.Severity == report.Warning {
			fmt.Fprintln(w, p)
		}
	}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
