package cli

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newLock(app *forge.App) *cobra.Command {
	var o forge.LockOptions
	var check, fetch bool
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Pin everything that the cluster is made of in imgforge.lock",
		Long: `Lock writes imgforge.lock beside the cluster file: the base image, Kubernetes, CNI plugins and other programs,
Debian packages by URL and hash, and every container image by digest, found in the rendered manifests. What is
pinned already stays; only what is missing, or fits the cluster file no more, is looked up. Commit the file.

--upgrade moves one thing: kubernetes=1.36.4, which changes kubernetes.version in the cluster file, too, and
nothing else in it; base, cni-plugins, containerd, crictl or runc, to =VERSION or what is current; debian, to the
state of the archive yesterday or =SNAPSHOT; images, to what their tags stand for today.

--check compares lock and cluster file without a network and fails when they do not belong together: for CI.

Downloads go through the proxy of the environment (HTTPS_PROXY, NO_PROXY). --mirror, or IMGFORGE_MIRRORS, names
places tried first: below https://mirror.example.org/files, files lie by the name of their host and their path.`,
		Example: "  imgforge lock\n  imgforge lock --check\n  imgforge lock --upgrade kubernetes=1.36.4",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			if check && (fetch || len(o.Upgrade) > 0) {
				return usagef("--check changes nothing: leave --fetch and --upgrade out")
			}
			if check {
				return checkLock(cmd, app, o)
			}
			o.Progress, o.Terminal = progress(cmd.ErrOrStderr())
			res, err := app.Lock(cmd.Context(), o)
			if err != nil {
				return err
			}
			printLocked(cmd.OutOrStdout(), res, o.Source.File)
			if fetch {
				return fetchLocked(cmd, app, o)
			}
			return nil
		},
	}
	lockFlags(cmd, &o)
	cmd.Flags().StringArrayVar(&o.Upgrade, "upgrade", nil, "move `NAME[=VERSION]`; can be given several times")
	cmd.Flags().BoolVar(&check, "check", false, "only say whether lock and cluster file belong together; exit code 1 if not")
	cmd.Flags().BoolVar(&fetch, "fetch", false, "download everything that is locked afterwards, as imgforge fetch does")
	cmd.Flags().StringVar(&o.Keys, "keys", "", "`FILE` of OpenPGP public keys to trust besides those that imgforge knows")
	return cmd
}

func printLocked(w io.Writer, res *forge.Locked, file string) {
	for _, line := range res.Changes {
		fmt.Fprintln(w, line)
	}
	if res.Moved != "" {
		fmt.Fprintf(w, "kubernetes.version in %s is %s now\n", file, res.Moved)
	}
	switch len(res.Changes) {
	case 0:
		fmt.Fprintf(w, "%s is up to date\n", res.Path)
	default:
		fmt.Fprintf(w, "wrote %s: %s\n", res.Path, forge.Counted(len(res.Changes), "change"))
	}
}

func checkLock(cmd *cobra.Command, app *forge.App, o forge.LockOptions) error {
	path, problems, err := app.CheckLock(o)
	if err != nil {
		return err
	}
	if len(problems) > 0 {
		return &verdictError{strings.Join(problems, "\n") + "\n" + forge.Counted(len(problems), "problem") + "; run `imgforge lock` and commit what it writes"}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s holds what %s needs, and nothing else\n", path, o.Source.File)
	return nil
}

func newFetch(app *forge.App) *cobra.Command {
	var o forge.LockOptions
	cmd := &cobra.Command{
		Use:   "fetch",
		Short: "Download everything that imgforge.lock names into the cache",
		Long: `Fetch brings all that is locked into the cache, in parallel, verified, and continued where an earlier run stopped.
What is there already is not fetched again. With --offline it fetches nothing and lists all that is missing.`,
		Args: exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Source.In = cmd.InOrStdin()
			return fetchLocked(cmd, app, o)
		},
	}
	lockFlags(cmd, &o)
	cmd.Flags().StringVar(&o.Keys, "keys", "", "`FILE` of OpenPGP public keys to trust besides those that imgforge knows")
	return cmd
}

func fetchLocked(cmd *cobra.Command, app *forge.App, o forge.LockOptions) error {
	o.Progress, o.Terminal = progress(cmd.ErrOrStderr())
	line, err := app.FetchLocked(cmd.Context(), o)
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), line)
	return nil
}

// lockFlags are the flags of what reads a lock and may download.
func lockFlags(cmd *cobra.Command, o *forge.LockOptions) {
	clusterFlags(cmd, &o.Source)
	downloadFlags(cmd, &o.Lock, &o.DownloadOptions)
}

// downloadFlags are the flags of the lock and of what is fetched.
func downloadFlags(cmd *cobra.Command, lock *string, o *forge.DownloadOptions) {
	cmd.Flags().StringVar(lock, "lock", "", "lock file (default: imgforge.lock beside the cluster file)")
	cmd.Flags().StringVar(&o.Cache, "cache", "", "folder of downloads (default: imgforge/blobs in the user's cache)")
	cmd.Flags().BoolVar(&o.Offline, "offline", false, "fetch nothing: take everything from the cache, or list what is missing")
	cmd.Flags().StringArrayVar(&o.Mirrors, "mirror", nil, "`URL` prefix tried before a file's own; can be given several times (default: $IMGFORGE_MIRRORS)")
	cmd.Flags().BoolVar(&o.MirrorsOnly, "mirrors-only", false, "never ask the own place of what has a mirror (default: $IMGFORGE_MIRRORS_ONLY is set)")
	cmd.Flags().StringVar(&o.CA, "ca", "", "`FILE` of authorities in PEM to trust besides the system's")
	cmd.Flags().IntVar(&o.Parallel, "parallel", 4, "files fetched at once")
}

// progress is where downloads show, and whether that is a terminal.
func progress(w io.Writer) (io.Writer, bool) {
	f, ok := w.(*os.File)
	if !ok {
		return w, false
	}
	info, err := f.Stat()
	return w, err == nil && info.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
