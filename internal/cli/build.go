package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/forge"
)

func newBuild(app *forge.App) *cobra.Command {
	var o forge.BuildOptions
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Write every payload, drive and image, with manifest.json and SHA256SUMS",
		Long: `Build writes out/public (may be served and published: manifest.json, SHA256SUMS, certificates of
authorities, files that nodes fetch by hash, images) and out/secret (only for you: payloads and drives).
The folder appears whole or not at all, and the same file, store and lock give the same bytes.

Where imgforge.lock lies beside the cluster file and delivery is baked, build also makes the system extension with
the programs of a node, the bundle of its container images, and a disk image per role: the operating system's
image with configuration, extension and bundle inside, which boots with no network. What the lock names comes from
the cache; what is missing there is fetched first. Disk images are sealed: they hold the keys of every node of the
role, each encrypted to its line of imgforge claims. With --unsealed the keys are in the clear, and the images in
out/secret. A disk that holds a private key, a password, SSH keys, a user or a machine id ends the build.

With delivery: fetch there must be a lock. The system extension and the bundle then lie in out/public/files, by their
hashes; payloads name them, and nodes fetch them from artifacts.url in their first boot. Build lists what to upload.

With --example it builds an embedded example with a throwaway store.`,
		Example: "  imgforge build\n  imgforge build --role master --format qcow2,raw.zst\n  imgforge build --node worker-1 --offline",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			if err := checkImages(cmd, o.Images); err != nil {
				return err
			}
			o.Images.Progress, o.Images.Terminal = progress(cmd.ErrOrStderr())
			res, err := app.Build(cmd.Context(), o)
			if err != nil {
				return err
			}
			warn(cmd.ErrOrStderr(), res.Warnings)
			for _, line := range res.Summary() {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			return nil
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVarP(&o.Out, "out", "o", "out", "output folder; replaced whole")
	cmd.Flags().StringVar(&o.Source.Example, "example", "", "build an embedded example with a throwaway store: "+strings.Join(examples.Names(), ", "))
	cmd.Flags().BoolVar(&o.Sealed, "sealed", false, "encrypt each slot of the role payloads to its claim line; see imgforge claims")
	imageFlags(cmd, &o.Images)
	return cmd
}

// imageFlags are the flags of the images that a build makes.
func imageFlags(cmd *cobra.Command, o *forge.ImageOptions) {
	f := cmd.Flags()
	f.BoolVar(&o.None, "no-images", false, "make payloads and drives only, whether there is a lock or not")
	f.StringVar(&o.Role, "role", "", "make the disk image of this role only")
	f.StringVar(&o.Node, "node", "", "make one disk image, for this node alone")
	f.StringSliceVar(&o.Formats, "format", nil, "formats of disk images: raw, qcow2, raw.zst (default: what the provider takes)")
	f.BoolVar(&o.Unsealed, "unsealed", false, "leave keys in disk images in the clear, and the images in out/secret")
	f.StringVar(&o.Base, "base", "", "`FILE` of the operating system's image, where the lock pins none (os.family imgforge, ubuntu)")
	f.StringVar(&o.Helper, "helper", "", "`FILE` of imgforge-node for the nodes' architecture (default: beside this program)")
	downloadFlags(cmd, &o.Lock, &o.DownloadOptions)
	f.StringVar(&o.Keys, "keys", "", "`FILE` of OpenPGP public keys to trust besides those that imgforge knows")
}

// checkImages refuses flags that contradict each other.
func checkImages(cmd *cobra.Command, o forge.ImageOptions) error {
	if o.Role != "" && o.Node != "" {
		return usagef("build takes --role or --node, not both")
	}
	for _, name := range []string{"role", "node", "format", "unsealed", "base", "helper"} {
		if o.None && cmd.Flags().Changed(name) {
			return usagef("--no-images makes none: leave --%s out", name)
		}
	}
	return nil
}

func newRender(app *forge.App) *cobra.Command {
	var o forge.RenderOptions
	var console bool
	cmd := &cobra.Command{
		Use:   "render",
		Short: "Print the user-data of a role or of one node",
		Long: `Render prints one payload on standard output, to paste in a cloud console.

--role R prints the payload that every node of the role can boot: each claims the slot that its host name
names. In the clear it lets each node of the role read its siblings' keys; --sealed encrypts each slot to the
claim line of its node (imgforge claims), and --node prints one that carries a single node's secrets and nothing else.
A sealed payload needs that line at the node's first boot: as kernel argument imgforge.claim=, or in the file
/etc/imgforge/claim or /run/imgforge/claim. Keys that all nodes of a role share are sealed as well, in each slot;
what you write under extra is not.`,
		Example: "  imgforge render --role master > master.ign\n  imgforge render --node worker-1 --format cloud-init",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			if (o.Role == "") == (o.Node == "") {
				return usagef("render takes either --role or --node")
			}
			if o.Sealed && o.Node != "" {
				return usagef("--sealed goes with --role: a node's payload holds one node's secrets already")
			}
			if console {
				return renderConsole(cmd, app, o)
			}
			res, err := app.Render(cmd.Context(), o)
			if err != nil {
				return err
			}
			warn(cmd.ErrOrStderr(), res.Warnings)
			_, err = cmd.OutOrStdout().Write(res.Data)
			return err
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVar(&o.Role, "role", "", "master, proxy or worker")
	cmd.Flags().StringVar(&o.Node, "node", "", "name of one node")
	cmd.Flags().StringVar(&o.Format, "format", "", "ignition, cloud-init or butane (default: what the OS reads)")
	cmd.Flags().BoolVar(&o.Sealed, "sealed", false, "encrypt each slot to its claim line")
	outFlag(cmd, &o.Source)
	cmd.Flags().BoolVar(&console, "for-console", false, "print what to click and paste in Scaleway's console, per server, instead of the payload")
	return cmd
}

// outFlag names the build whose programs single payloads name.
func outFlag(cmd *cobra.Command, src *forge.Source) {
	cmd.Flags().StringVarP(&src.Out, "out", "o", "out", "with delivery: fetch, output folder of the build whose programs the nodes fetch")
	cmd.Flags().StringVar(&src.Lock, "lock", "", "and the lock of that build (default: imgforge.lock beside the cluster file)")
}

func renderConsole(cmd *cobra.Command, app *forge.App, o forge.RenderOptions) error {
	if o.Sealed || o.Format != "" {
		return usagef("--for-console says what to do with the payloads of single nodes: leave --sealed and --format out")
	}
	c, err := app.Console(o.Source, o.Role, o.Node)
	if err != nil {
		return err
	}
	return printConsole(cmd.OutOrStdout(), c)
}

func newClaims(app *forge.App) *cobra.Command {
	var src forge.Source
	var asJSON, console bool
	var role string
	cmd := &cobra.Command{
		Use:   "claims",
		Short: "Print the secret line that opens each node's slot in a sealed image or payload",
		Long: `Claims prints one line per node, which opens that node's slot of a sealed image, or of a payload made with --sealed,
and no other. Each line is a secret. Given to a server as its user-data, it makes the server that node: the line says which.
A node looks for it at first boot: in the kernel argument imgforge.claim=, the files /etc/imgforge/claim and
/run/imgforge/claim, systemd's credential imgforge.claim, QEMU's fw_cfg, attached drives, and the provider's metadata service.
Without one it waits and says so on its console (codes 106, 114, 115).`,
		Example: "  imgforge claims --for-console\n  imgforge claims --role worker",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			if console {
				if asJSON {
					return usagef("claims takes either --json or --for-console")
				}
				return claimsConsole(cmd, app, src, role)
			}
			claims, err := app.Claims(src, role)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), claims)
			}
			for _, c := range claims {
				fmt.Fprintln(cmd.OutOrStdout(), c.Line)
			}
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().StringVar(&role, "role", "", "only the nodes of this role")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&console, "for-console", false, "print, for the servers that are to exist, what to paste where at the provider")
	return cmd
}

// claimsConsole prints the lines with what to do with them.
func claimsConsole(cmd *cobra.Command, app *forge.App, src forge.Source, role string) error {
	help, err := app.ClaimHelp(src, role)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	fmt.Fprintln(out, help.Title()+".\nFor each server:")
	for _, step := range help.Where {
		fmt.Fprintln(out, "  - "+step)
	}
	for _, c := range help.Claims {
		fmt.Fprintf(out, "\n%s:\n%s\n", c.Node, c.Line)
	}
	return nil
}

func newVerify(app *forge.App) *cobra.Command {
	var src forge.Source
	var asJSON bool
	var key string
	cmd := &cobra.Command{
		Use:   "verify OUT",
		Short: "Check that an output folder is whole, unmodified and signed and that nothing secret is in its public part",
		Long: `Verify needs no network. It checks every file against manifest.json and SHA256SUMS, the manifests against their Ed25519
signatures, the list of components (SPDX) and the provenance (in-toto) against the files, and searches the public part
for every key in the store. The signatures are checked with the store's public key, or with one that you pinned:
imgforge pki key prints it. Without this program:

  openssl pkeyutl -verify -rawin -pubin -inkey key.pem -sigfile manifest.json.sig -in manifest.json && sha256sum -c SHA256SUMS`,
		Example: "  imgforge verify out\n  imgforge pki key > key.pem; imgforge verify --key key.pem out",
		Args:    exact("the output folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.In = cmd.InOrStdin()
			v, err := app.Verify(src, args[0], key)
			if err != nil {
				return err
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), v); err != nil {
					return err
				}
			} else {
				for _, line := range v.Checks {
					fmt.Fprintln(cmd.OutOrStdout(), line)
				}
			}
			if len(v.Problems) > 0 {
				return &verdictError{strings.Join(v.Problems, "\n") + "\n" + forge.Counted(len(v.Problems), "problem")}
			}
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&key, "key", "", "`FILE` with the public key that the manifests must be signed with (default: the store's)")
	return cmd
}
