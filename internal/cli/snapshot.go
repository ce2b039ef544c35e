package cli

import (
	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newSnapshot(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Open the snapshots of etcd that masters take",
		Args:  exact(),
		RunE:  incomplete,
	}
	cmd.AddCommand(newSnapshotDecrypt(app))
	return cmd
}

func newSnapshotDecrypt(app *forge.App) *cobra.Command {
	var src forge.Source
	var out, identity string
	cmd := &cobra.Command{
		Use:   "decrypt FILE",
		Short: "Open a sealed snapshot of etcd, to look into it or to restore it by hand",
		Long: `Open a sealed snapshot of etcd into a file that etcdutl reads. The store and the
leaf identity open it; without a store, a file with the authority identity does.
A cluster restores a snapshot by itself: see etcd.restoreFrom.`,
		Example: "  imgforge snapshot decrypt etcd-20261121T183000Z-r0000012345.db.age --to snapshot.db",
		Args:    exact("a file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usagef("--to FILE says where the opened snapshot goes")
			}
			src.In = cmd.InOrStdin()
			lines, err := app.SnapshotDecrypt(src, args[0], out, identity)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().StringVar(&out, "to", "", "the file to write, which must not be there")
	cmd.Flags().StringVar(&identity, "authority", "", "a file with the authority identity, in place of the store")
	return cmd
}
