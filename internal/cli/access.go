package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newKubeconfig(app *forge.App) *cobra.Command {
	var o forge.KubeconfigOptions
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print a short-lived admin kubeconfig for a server address that is reachable from here",
		Long: `Kubeconfig issues an admin certificate (group kubeadm:cluster-admins) that is stored nowhere. The server is
the one that endpoint.access opens to the outside. Where no public name or address of it is known, it is one inside
the mesh, when network.operators has a peer for you; a line on stderr says so.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			data, lines, err := app.Kubeconfig(cmd.Context(), o)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVar(&o.User, "user", "admin", "name in the certificate, shown in audit logs")
	cmd.Flags().DurationVar(&o.For, "for", 12*time.Hour, "lifetime, at most 24h")
	return cmd
}

func newMeshConfig(app *forge.App) *cobra.Command {
	var src forge.Source
	var out string
	cmd := &cobra.Command{
		Use:   "mesh-config NAME",
		Short: "Print or write the mesh configuration of an operator's laptop",
		Long: `Mesh-config makes an operator of network.operators a peer: for WireGuard a wg-quick file on standard output,
for tinc, which needs several files, a folder with --out. It holds a private key: keep it out of git.`,
		Args: exact("an operator's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.In = cmd.InOrStdin()
			data, lines, err := app.MeshConfig(src, args[0], out)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().StringVarP(&out, "out", "o", "", "folder to write to; must not exist")
	return cmd
}
