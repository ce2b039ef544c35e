package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newPublishScaleway(app *forge.App) *cobra.Command {
	var o forge.PublishScalewayOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scaleway",
		Short: "Make disk images what servers at Scaleway boot from",
		Long: `Scaleway takes the qcow2 of each role, or of one, from the output folder and makes an image of it in the cluster's zone:
it uploads the file to Object Storage in that region, in parts and with checksums, has Block Storage import it as a
snapshot, makes the image, and removes the object and the bucket. It prints ROLE and the image's ID, which is what
roles.ROLE.image in the cluster file wants. An image that is there already is not made again. After any interruption
the next run goes on where it stopped, also in the middle of the upload.

Image and snapshot carry the cluster, the role, the version of Kubernetes and the digest of the manifest that lists the
file, as tags. Of each role the newest images stay (--keep), and all that a server was made from.

The output folder is verified first, as imgforge verify does; of --image in such a folder, signatures and hash. What could
not be checked is said. Images with keys in the clear are refused, unless --with-secrets is given.

` + credentials,
		Example: "  imgforge publish scaleway\n  imgforge publish scaleway --role worker --image worker.qcow2 --with-secrets",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			all, err := app.PublishScaleway(cmd.Context(), o)
			if asJSON && err == nil {
				return printJSON(cmd.OutOrStdout(), all)
			}
			// What was published before one failed is printed too.
			if bad := printPublished(cmd.OutOrStdout(), cmd.ErrOrStderr(), all, o); bad != nil {
				return bad
			}
			return err
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVarP(&o.Out, "out", "o", "out", "output folder")
	cmd.Flags().StringVar(&o.Image, "image", "", "`FILE` in qcow2 instead, the disk of --role")
	cmd.Flags().StringVar(&o.Role, "role", "", "this role alone")
	cmd.Flags().StringVar(&o.Bucket, "bucket", "", "upload to this bucket of yours in the zone's region, which stays")
	cmd.Flags().IntVar(&o.Keep, "keep", 3, "images of a role that stay")
	cmd.Flags().BoolVar(&o.WithSecrets, "with-secrets", false, "publish images whose keys are in the clear: to whoever may read the project's snapshots")
	cmd.Flags().BoolVar(&o.Clean, "clean", false, "publish nothing, and remove what was left half done")
	cmd.Flags().BoolVar(&o.Dry, "dry-run", false, "print the changes and make none")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printPublished(out, notes io.Writer, all []forge.PublishedScaleway, o forge.PublishScalewayOptions) error {
	for _, p := range all {
		if p.Already {
			fmt.Fprintf(notes, "%s: nothing to do\n", p.Role)
		}
		for _, change := range p.Changes {
			if _, err := fmt.Fprintln(out, change); err != nil {
				return err
			}
		}
		if p.Image != "" && !o.Dry {
			if _, err := fmt.Fprintln(out, p.Role, p.Image); err != nil {
				return err
			}
		}
	}
	return nil
}
