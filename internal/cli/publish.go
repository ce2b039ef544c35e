package cli

import (
	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newPublish(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "publish",
		Short: "Put what was built where machines and people get it from",
		Args:  exact(),
		RunE:  incomplete,
	}
	cmd.AddCommand(newPublishOCI(app), newPublishScaleway(app))
	return cmd
}
