package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newPKI(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pki",
		Short: "Make and keep the cluster's certificates and keys",
		Args:  exact(),
		RunE:  incomplete,
	}
	cmd.AddCommand(newPKIInit(app), newPKIIssue(app), newPKIStatus(app), newPKIRenew(app), newPKIKey(app))
	return cmd
}

// tell prints what a command did, line by line, on stderr.
func tell(w io.Writer, lines []string) {
	for _, l := range lines {
		fmt.Fprintln(w, l)
	}
}

func newPKIInit(app *forge.App) *cobra.Command {
	var src forge.Source
	cmd := &cobra.Command{
		Use:   "init",
		Short: "Make the authorities, every leaf and every key; never touches an existing store",
		Long: `Init makes the store: the only command that ever makes authorities. It writes two identities outside of
any git work tree: one opens the authorities (keep it offline), the other opens leaves (give it to CI).`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			lines, err := app.PKIInit(cmd.Context(), src)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	return cmd
}

func newPKIIssue(app *forge.App) *cobra.Command {
	var src forge.Source
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issue the leaves and keys that the plan needs and the store lacks; renews nothing",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			lines, err := app.PKIIssue(cmd.Context(), src)
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	return cmd
}

func newPKIRenew(app *forge.App) *cobra.Command {
	var src forge.Source
	within := days(90)
	cmd := &cobra.Command{
		Use:   "renew [ID ...]",
		Short: "Renew leaves: those named, or those that end within a number of days",
		RunE: func(cmd *cobra.Command, args []string) error {
			src.In = cmd.InOrStdin()
			if len(args) > 0 && cmd.Flags().Changed("within") {
				return usagef("renew takes either names or --within")
			}
			lines, err := app.PKIRenew(cmd.Context(), src, args, int(within))
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().Var(&within, "within", "renew what ends within this many days")
	return cmd
}

func newPKIKey(app *forge.App) *cobra.Command {
	var src forge.Source
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Print the public key that the manifests of output folders are signed with; needs no identity",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			key, err := app.PublicKey(src)
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(key)
			return err
		},
	}
	clusterFlags(cmd, &src)
	return cmd
}

func newPKIStatus(app *forge.App) *cobra.Command {
	var src forge.Source
	threshold := days(30)
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List certificates with the days they have left; exit 1 when one is under the threshold",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			st, err := app.PKIStatus(src, int(threshold))
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), st)
			} else {
				err = printStatus(cmd.OutOrStdout(), st)
			}
			if err != nil {
				return err
			}
			if n := len(st.Under); n > 0 {
				return &verdictError{fmt.Sprintf("imgforge: %d of %d certificates have fewer than %d days left, the first is %s; run `imgforge pki renew --within %d`, then build and boot again",
					n, len(st.Entries), threshold, st.Under[0], threshold)}
			}
			return nil
		},
	}
	clusterFlags(cmd, &src)
	cmd.Flags().Var(&threshold, "days", "threshold in days")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(w io.Writer, st *forge.PKIStatus) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tSUBJECT\tROLE\tNODE\tENDS\tDAYS LEFT")
	for _, e := range st.Entries {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Subject, orDash(e.Role), orDash(e.Node), e.NotAfter.UTC().Format("2006-01-02"), strconv.Itoa(e.DaysLeft))
	}
	fmt.Fprintf(t, "\nartifacts made from this store can boot until\t%s\n", orDash(st.LatestBoot))
	return t.Flush()
}

func newSecret(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Keep secrets that the cluster file refers to by name",
		Args:  exact(),
		RunE:  incomplete,
	}
	cmd.AddCommand(newSecretSet(app), newSecretList(app))
	return cmd
}

func newSecretSet(app *forge.App) *cobra.Command {
	var src forge.Source
	cmd := &cobra.Command{
		Use:     "set NAME",
		Short:   "Read a secret from standard input and seal it in the store",
		Example: "  imgforge secret set registry-password < password.txt",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("the value is read from standard input, not from the command line, which others can see: imgforge secret set NAME < FILE")
			}
			return exact("a name")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if src.File == "-" {
				return usagef("the secret is read from standard input, so the cluster file cannot be")
			}
			value, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), 1<<20))
			if err != nil {
				return fmt.Errorf("read the secret from standard input: %w", err)
			}
			lines, err := app.SecretSet(cmd.Context(), src, args[0], []byte(strings.TrimRight(string(value), "\r\n")))
			if err != nil {
				return err
			}
			tell(cmd.ErrOrStderr(), lines)
			return nil
		},
	}
	clusterFlags(cmd, &src)
	return cmd
}

func newSecretList(app *forge.App) *cobra.Command {
	var src forge.Source
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the names of the secrets in the store, and those the cluster file asks for",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			src.In = cmd.InOrStdin()
			lines, err := app.SecretList(src)
			if err != nil {
				return err
			}
			tell(cmd.OutOrStdout(), lines)
			if len(lines) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "the store has no secret that was set, and the cluster file asks for none")
			}
			return nil
		},
	}
	clusterFlags(cmd, &src)
	return cmd
}
