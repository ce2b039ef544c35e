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
		Short: "Write every payload and drive, with manifest.json and SHA256SUMS",
		Long: `Build writes out/public (may be served and published: manifest.json, SHA256SUMS, certificates of
authorities, files that nodes fetch by hash) and out/secret (only for you: payloads and drives).
The folder appears whole or not at all, and the same file and store give the same bytes.

With --example it builds an embedded example with a throwaway store.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
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
	return cmd
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
	cmd.Flags().BoolVar(&console, "for-console", false, "print what to click and paste in Scaleway's console, per server, instead of the payload")
	return cmd
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
	var asJSON bool
	var role string
	cmd := &cobra.Command{
		Use:   "claims",
		Short: "Print the secret line that opens each node's slot in a sealed payload",
		Long: `Claims prints one line per node, which opens that node's slot of a payload made with --sealed and no other. Each
line is a secret. A node looks for it at first boot, in the kernel argument imgforge.claim= and in the files
/etc/imgforge/claim and /run/imgforge/claim; without one it waits and says so on its console (code 106).`,
		Example: "  imgforge render --role worker --sealed > worker.ign\n  imgforge claims --role worker",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
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
	return cmd
}

func newVerify(app *forge.App) *cobra.Command {
	var src forge.Source
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify OUT",
		Short: "Check that an output folder is whole and unmodified and that nothing secret is in its public part",
		Args:  exact("the output folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			src.In = cmd.InOrStdin()
			v, err := app.Verify(src, args[0])
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
	return cmd
}
