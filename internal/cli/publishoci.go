package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newPublishOCI(app *forge.App) *cobra.Command {
	var o forge.PublishOCIOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "oci REPOSITORY",
		Short: "Put what may be published of an output folder into a container registry",
		Long: `Oci verifies the output folder as imgforge verify does, and puts its public part and the images that are sealed
into REPOSITORY (HOST/PATH): an artifact per file and an index that names all, under the tag CLUSTER-MANIFEST, where
MANIFEST is the beginning of the SHA-256 of manifest.json. It prints REPOSITORY@DIGEST: pull by that. Clients of
artifacts, such as oras, give the files their names back. What the registry has is not sent again, an upload that broke
goes on where the registry says that it stands, and when the digest has its tag already, nothing is done.

Payloads never go there. An image that is not sealed is refused, unless --with-secrets repeats the repository's
name; then it goes last, after a request without credentials was refused what is there already.

Credentials come from Docker's configuration (docker login, podman login and others write it; DOCKER_CONFIG names
another folder), else from the registry of that host in the cluster file.`,
		Example: "  imgforge publish oci registry.example.org/clusters/demo",
		Args:    exact("a repository"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source.In = cmd.InOrStdin()
			o.Repository = args[0]
			o.Download.Progress, o.Download.Terminal = progress(cmd.ErrOrStderr())
			res, err := app.PublishOCI(cmd.Context(), o)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), res.Unchecked)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), res)
			}
			switch {
			case res.Already:
				fmt.Fprintf(cmd.ErrOrStderr(), "it is there already, as %s: nothing was done\n", res.Tag)
			default:
				fmt.Fprintf(cmd.ErrOrStderr(), "sent %s, %d were there; tagged %s\n", forge.Counted(res.Sent, "file"), res.Present, res.Tag)
			}
			fmt.Fprintln(cmd.OutOrStdout(), res.Reference)
			return nil
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVarP(&o.Out, "out", "o", "out", "output folder")
	cmd.Flags().StringVar(&o.WithSecrets, "with-secrets", "", "`REPOSITORY` again: images that are not sealed may go there, since it is private")
	cmd.Flags().StringVar(&o.Download.CA, "ca", "", "`FILE` of authorities in PEM to trust besides the system's")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
