package forge

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/pki"
)

// BuildOptions choose what is built and where it goes.
type BuildOptions struct {
	Source Source
	// Out is the output folder, replaced whole.
	Out string
	// Sealed encrypts the slots of role payloads.
	Sealed bool
	// Images choose the images that are made where there is a lock.
	Images ImageOptions
}

// ignoreAll keeps a folder and all that is in it out of git.
func ignoreAll() []byte { return []byte("*\n") }

// Build writes every payload and drive of a cluster. The output folder is
// exchanged at the end in one step; until then, and after any error, it is as it was.
func (a *App) Build(ctx context.Context, o BuildOptions) (*BuildResult, error) {
	c, st, done, err := a.openForBuild(ctx, o.Source)
	if err != nil {
		return nil, err
	}
	defer done()
	tree, err := artifact.NewTree(o.Out, artifact.TreeInfo{Cluster: c.plan.Cluster, LatestBoot: c.plan.LatestBoot, Throwaway: o.Source.Example != "", Sign: signer(st)})
	if err != nil {
		return nil, err
	}
	defer tree.Abort()
	b := &build{app: a, source: o.Source, o: o.Images, cluster: c, store: st, tree: tree, sealed: o.Sealed, fetched: map[string]bool{},
		result: BuildResult{Out: o.Out, Cluster: c.plan.Cluster, LatestBoot: c.plan.LatestBoot, Throwaway: o.Source.Example != "", Warnings: c.report}}
	steps := []func(context.Context) error{b.describe, b.fetchedPrograms, b.roles, b.nodes, b.imagesOf}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	b.result.Serve = b.serving()
	if err := tree.Commit(); err != nil {
		return nil, err
	}
	b.result.Warnings.Sort()
	return &b.result, nil
}

// openForBuild opens the store of a file, or makes a throwaway one for an example.
func (a *App) openForBuild(ctx context.Context, src Source) (*cluster, *pki.Store, func(), error) {
	if src.Example == "" {
		c, st, err := a.open(src)
		return c, st, func() {}, err
	}
	dir, err := os.MkdirTemp("", "imgforge-example-")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("make a throwaway store: %w", err)
	}
	done := func() { os.RemoveAll(dir) }
	c, st, err := a.throwaway(ctx, src, filepath.Join(dir, "store"))
	if err != nil {
		done()
		return nil, nil, nil, err
	}
	return c, st, done, nil
}

// authorities are the names of a store's authorities, in the order of their files.
func authorities() []string {
	return []string{pki.Etcd, pki.FrontProxy, pki.KubeletSigner, pki.Kubernetes}
}

type build struct {
	*cluster
	app    *App
	source Source
	o      ImageOptions
	store  *pki.Store
	tree   *artifact.Tree
	sealed bool
	served *imaging // what nodes fetch; nil where images bring it

	mu      sync.Mutex
	fetched map[string]bool
	result  BuildResult
}

// describe writes what concerns the whole cluster: the plan, which may quote
// the user's own Butane and so stays in the secret part, and the authorities' certificates.
func (b *build) describe(context.Context) error {
	err := b.tree.Add(artifact.Item{Path: "plan.json", Kind: "plan", Format: "json", Secret: true}, func(w io.Writer) error {
		return encodePlan(w, b.plan)
	})
	if err != nil {
		return err
	}
	// Keys are in the clear here: one `git add` of everything must not take them along.
	if err := b.tree.AddBytes(artifact.Item{Path: ".gitignore", Kind: "note", Format: "gitignore", Secret: true}, ignoreAll()); err != nil {
		return err
	}
	for _, name := range authorities() {
		cert, err := b.store.Authority(name)
		if err != nil {
			return err
		}
		if err := b.tree.AddBytes(artifact.Item{Path: "authorities/" + name + ".crt", Kind: "certificate", Format: "pem"}, cert); err != nil {
			return err
		}
	}
	return nil
}

// roles writes one payload per role. A role payload that is larger than the
// provider takes is left out with a warning, as long as the nodes' own fit.
func (b *build) roles(context.Context) error {
	for _, r := range b.plan.Roles {
		if r.Slots == 0 {
			continue
		}
		doc, err := b.document(r.Name, "", b.store)
		if err != nil {
			return err
		}
		o := b.options("", b.sealed, b.store)
		limit := o.Budget.Bytes
		o.Oversize = true // looking for remedies would render it several times more
		p, err := payload.Render(doc, o)
		if err != nil {
			return b.explain(err)
		}
		if limit > 0 && p.Sizes.Total > limit {
			b.warn(report.Problem{Severity: report.Warning, File: b.file, Path: "roles." + r.Name,
				Message: fmt.Sprintf("no payload for the whole role was written: its %d bytes are more than the %d that the provider takes", p.Sizes.Total, limit),
				Fix:     "boot this role from the payloads of its nodes; `imgforge render --role " + r.Name + "` names the other ways out"})
			continue
		}
		b.warn(b.problems(p.Warnings)...)
		item := artifact.Item{Path: "roles/" + r.Name + b.extension(), Kind: "payload", Role: r.Name, Format: b.plan.OS.Format, Secret: true}
		if err := b.tree.AddBytes(item, p.Data); err != nil {
			return err
		}
		if err := b.serve(p.Fetched); err != nil {
			return err
		}
		b.result.Roles = append(b.result.Roles, r.Name)
	}
	return nil
}

func (b *build) warn(p ...report.Problem) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.result.Warnings.Add(p...)
}

func (c *cluster) extension() string {
	if c.plan.OS.Format == "cloud-init" {
		return ".yaml"
	}
	return ".ign"
}
