package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newExport(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write what other tools make the servers from",
		Args:  exact(),
		RunE:  incomplete,
	}
	cmd.AddCommand(newExportTerraform(app))
	return cmd
}

func newExportTerraform(app *forge.App) *cobra.Command {
	var o forge.ExportOptions
	cmd := &cobra.Command{
		Use:   "terraform",
		Short: "Write a Terraform or OpenTofu module with the servers at Scaleway and all they need",
		Long: `Terraform writes a module in JSON syntax with what imgforge up scaleway makes: private network, booked addresses,
security groups, placement group, flexible IP, volumes and servers. It holds no secret: servers boot from the payloads
below out/secret, which the module reads. Terraform keeps them in its state, so that its state is as secret as they are.

Use either the module or imgforge up and down, not both: neither knows what the other made.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			res, err := app.ExportTerraform(o)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), res.Notes)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), res.File)
			return err
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVarP(&o.Dir, "out", "o", "terraform", "folder of the module")
	cmd.Flags().StringVar(&o.Out, "build", "out", "output folder of imgforge build, whose payloads the module reads")
	return cmd
}
