package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newCache(app *forge.App) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Look after the cache of downloads",
		Args:  cobra.ArbitraryArgs,
		RunE:  incomplete,
	}
	cmd.AddCommand(newCacheList(app), newCacheVerify(app), newCachePrune(app))
	return cmd
}

func newCacheList(app *forge.App) *cobra.Command {
	var o forge.DownloadOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is in the cache, by digest, with sizes in bytes",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			view, err := app.CacheList(o)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), view)
			}
			for _, b := range view.Blobs {
				fmt.Fprintf(cmd.OutOrStdout(), "%12d  %s\n", b.Size, b.Digest)
			}
			fmt.Fprintln(cmd.OutOrStdout(), view.Summary())
			return nil
		},
	}
	cacheFlag(cmd, &o)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCacheVerify(app *forge.App) *cobra.Command {
	var o forge.DownloadOptions
	var repair bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Read everything in the cache again and compare it with its digest",
		Args:  exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			lines, err := app.CacheVerify(o, repair)
			if err != nil {
				return err
			}
			for _, line := range lines.Good {
				fmt.Fprintln(cmd.OutOrStdout(), line)
			}
			if lines.Bad != "" {
				return &verdictError{lines.Bad}
			}
			return nil
		},
	}
	cacheFlag(cmd, &o)
	cmd.Flags().BoolVar(&repair, "repair", false, "remove what is damaged, so that it is fetched again")
	return cmd
}

func newCachePrune(app *forge.App) *cobra.Command {
	var o forge.LockOptions
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove from the cache what the lock of this cluster does not name",
		Long: `Prune keeps what imgforge.lock names and removes everything else, and downloads that were begun and that nobody is
at. Other clusters fetch what they need again.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			line, err := app.CachePrune(o)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), line)
			return nil
		},
	}
	clusterFlags(cmd, &o.Source)
	cmd.Flags().StringVar(&o.Lock, "lock", "", "lock file (default: imgforge.lock beside the cluster file)")
	cacheFlag(cmd, &o.DownloadOptions)
	return cmd
}

func cacheFlag(cmd *cobra.Command, o *forge.DownloadOptions) {
	cmd.Flags().StringVar(&o.Cache, "cache", "", "folder of downloads (default: imgforge/blobs in the user's cache)")
}
