package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newUp(app *forge.App) *cobra.Command {
	return provider("up", "Make a cluster's servers and all they need exist at a provider", newScalewayUp(app))
}

func newDown(app *forge.App) *cobra.Command {
	return provider("down", "Remove everything that carries a cluster's tag at a provider", newScalewayDown(app))
}

// provider is a command that is nothing without the name of a provider.
func provider(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("%s knows no provider %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return incomplete(cmd, nil)
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

const credentials = `Credentials and project come from SCW_ACCESS_KEY, SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID, or from the active
profile of Scaleway's own configuration file.`

func newScalewayUp(app *forge.App) *cobra.Command {
	var o forge.UpOptions
	cmd := &cobra.Command{
		Use:   "scaleway",
		Short: "Make what is missing of a cluster at Scaleway",
		Long: `Up makes what is missing and changes nothing that runs: the private network with a booked address per node,
security groups, the masters' placement group, the proxies' flexible IP, volumes and servers. Servers are made off, get
the payload of their own node as user-data, and are powered on when all are whole. After any interruption it goes on where
it stopped. A server that is off is powered on, with today's payload.

Nodes delete their own user-data at the provider once they are Ready. With --kubeconfig, up asks the cluster which nodes
are, and deletes what they could not; it deletes nothing of a server that was made after its node became Ready.

` + credentials,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			res, err := app.ScalewayUp(cmd.Context(), o)
			if err != nil {
				return err
			}
			return printServers(cmd.OutOrStdout(), cmd.ErrOrStderr(), res, o.Dry)
		},
	}
	clusterFlags(cmd, &o.Source)
	outFlag(cmd, &o.Source)
	cmd.Flags().BoolVar(&o.Dry, "dry-run", false, "print the changes and make none")
	cmd.Flags().StringVar(&o.Kubeconfig, "kubeconfig", "", "ask the cluster of this kubeconfig, and delete the user-data of nodes that are Ready")
	return cmd
}

func newScalewayDown(app *forge.App) *cobra.Command {
	var o forge.DownOptions
	var yes bool
	cmd := &cobra.Command{
		Use:   "scaleway",
		Short: "Remove everything at Scaleway that carries the cluster's tag, data included",
		Long: `Down removes servers, volumes, published images with their snapshots, addresses and networks that carry the tag
imgforge.cluster=NAME, and nothing else, after it has listed them and you have said yes. An address that you reserved
yourself stays, and so does an image that a server without the tag was made from.

` + credentials,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			res, err := app.ScalewayDown(cmd.Context(), o, func(found *forge.Servers) (bool, error) {
				return agreed(cmd, found, yes)
			})
			if err != nil {
				return err
			}
			return printServers(cmd.OutOrStdout(), cmd.ErrOrStderr(), res, o.Dry)
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().BoolVar(&o.Dry, "dry-run", false, "print what would be removed")
	cmd.Flags().BoolVar(&o.KeepImages, "keep-images", false, "leave published images and their snapshots, for servers that are made anew")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// agreed lists what goes and asks, on a terminal alone: what is read elsewhere was
// not written as an answer to this.
func agreed(cmd *cobra.Command, found *forge.Servers, yes bool) (bool, error) {
	if yes {
		return true, nil
	}
	unasked := usagef("%s removes servers with their data and cannot ask here: look with --dry-run, then use --yes", cmd.CommandPath())
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !typed(in) {
		return false, unasked
	}
	for _, line := range found.Changes {
		fmt.Fprintln(cmd.ErrOrStderr(), line)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "this removes %s, with all data. Type yes: ", found.Exists)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err == io.EOF && answer == "" {
		return false, unasked // /dev/null looks like a terminal until it is read
	}
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != "yes" {
		return false, &verdictError{"nothing was removed"}
	}
	return true, nil
}

// typed tells whether what is read comes from a keyboard.
func typed(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func printServers(out, notes io.Writer, s *forge.Servers, dry bool) error {
	tell(notes, s.Notes)
	if !dry {
		_, err := fmt.Fprintf(out, "exists: %s\n", s.Exists)
		return err
	}
	if len(s.Changes) == 0 {
		_, err := fmt.Fprintln(out, "nothing to do")
		return err
	}
	_, err := fmt.Fprintln(out, strings.Join(s.Changes, "\n"))
	return err
}

// printConsole writes, server by server, what to choose and paste in the console.
func printConsole(w io.Writer, c *forge.Console) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Once, in %s:\n", c.Region)
	for _, line := range c.Before {
		fmt.Fprintf(&b, "  - %s\n", line)
	}
	for _, s := range c.Servers {
		fmt.Fprintf(&b, "\n%s: Instances, Create Instance\n", s.Name)
		for _, row := range s.Rows {
			fmt.Fprintf(&b, "  %-16s %s\n", row.Field, row.Value)
		}
	}
	fmt.Fprintf(&b, "\nThen:\n")
	for _, line := range c.After {
		fmt.Fprintf(&b, "  - %s\n", line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
