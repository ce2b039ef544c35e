package forge

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/report"
)

// BuildResult is what a build made.
type BuildResult struct {
	Out        string
	Cluster    string
	Roles      []string // role payloads that were written
	Nodes      int      // node payloads
	Drives     int
	Fetched    int // files that nodes fetch by hash
	LatestBoot string
	Throwaway  bool
	// Images says which images were made, in words.
	Images string
	// Serve says which files nodes fetch, and from where.
	Serve []string
	// Hint says what is not built, and how it would be; "" where nothing is missing.
	Hint string
	// Unread are the partitions of the base whose files the gate could not look at.
	Unread []string
	// Unlisted is what the list of components cannot name, each with the reason.
	Unlisted []string
	Warnings report.Report
}

// Summary says in a few lines what lies where.
func (r *BuildResult) Summary() []string {
	out := []string{
		fmt.Sprintf("%s: %s (%s), %s, %s in %s", r.Cluster, Counted(len(r.Roles), "role payload"),
			cmp.Or(strings.Join(r.Roles, ", "), "none fits"), Counted(r.Nodes, "node payload"), Counted(r.Drives, "drive"), filepath.Join(r.Out, artifact.Secret)),
		fmt.Sprintf("manifest.json, SHA256SUMS and %s to serve in %s", Counted(r.Fetched, "file"), filepath.Join(r.Out, artifact.Public)),
		"these can boot until " + r.LatestBoot,
	}
	if r.Images != "" {
		out = append(out, r.Images)
	}
	out = append(out, r.Serve...)
	for _, u := range r.Unread {
		out = append(out, "not looked at for what no image may hold: "+u)
	}
	for _, u := range r.Unlisted {
		out = append(out, "not all in "+sbomName+": "+u)
	}
	if r.Hint != "" {
		out = append(out, r.Hint)
	}
	out = append(out, fmt.Sprintf("keep %q out of git: what machines boot from holds keys in the clear", r.Out))
	if r.Throwaway {
		out = append(out, "built with a throwaway store: look at it, do not boot it; start your own with `imgforge init`")
	}
	return out
}

// Counted is a number of things, one thing or several.
func Counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
