package forge

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
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
	steps := []func(context.Context) error{b.describe, b.roles, b.nodes, b.imagesOf}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
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

// nodes writes one payload per node, reserved slots included, and its drive.
// Each is dropped once written, so that memory does not grow with the cluster.
func (b *build) nodes(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan plan.Node)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for n := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := b.node(n); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, n := range b.plan.Nodes {
		work <- n
	}
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

func (b *build) node(n plan.Node) error {
	doc, err := b.document("", n.Name, b.store)
	if err != nil {
		return err
	}
	p, err := payload.Render(doc, b.options("", false, b.store))
	if err != nil {
		return b.explain(err)
	}
	b.warn(b.problems(p.Warnings)...)
	item := artifact.Item{Path: "nodes/" + n.Name + b.extension(), Kind: "payload", Node: n.Name, Role: n.Role, Format: b.plan.OS.Format, Secret: true}
	if err := b.tree.AddBytes(item, p.Data); err != nil {
		return err
	}
	if err := b.serve(p.Fetched); err != nil {
		return err
	}
	if err := b.drive(n, p.Data); err != nil {
		return err
	}
	b.mu.Lock()
	b.result.Nodes++
	b.mu.Unlock()
	return nil
}

// drive writes the drive that this OS reads on this platform, if it reads one.
func (b *build) drive(n plan.Node, data []byte) error {
	var write func(io.Writer) error
	switch b.plan.Platform.Drive {
	case images.ConfigDriveLabel:
		write = func(w io.Writer) error { return images.ConfigDrive(w, data, n.Name, n.GUID) }
	case images.CIDataLabel:
		network, err := b.networkConfig(n)
		if err != nil {
			return err
		}
		write = func(w io.Writer) error { return images.CIData(w, data, n.Name, n.InstanceID, network) }
	default:
		return nil
	}
	item := artifact.Item{Path: "drives/" + n.Name + ".iso", Kind: "drive", Node: n.Name, Role: n.Role, Format: "iso9660", Secret: true}
	if err := b.tree.Add(item, write); err != nil {
		return err
	}
	b.mu.Lock()
	b.result.Drives++
	b.mu.Unlock()
	return nil
}

// networkConfig is what a cidata drive says of a network on which nobody hands
// out addresses; nil, where DHCP does. cloud-init acts on it before it reads
// user-data, and would wait for DHCP until it gives up.
func (b *build) networkConfig(n plan.Node) ([]byte, error) {
	network := b.plan.Network
	if network.Mesh != "none" || network.Gateway == "" {
		return nil, nil
	}
	return payload.NetworkConfig(payload.Interface{
		Name: cmp.Or(n.Interface, network.Interface), MAC: n.MAC,
		Addresses: []string{fmt.Sprintf("%s/%d", n.Address, network.PrefixLen)}, Gateway: network.Gateway, DNS: b.plan.Settings.DNS,
	})
}

// serve writes the files that nodes fetch by hash, each once.
func (b *build) serve(files []artifact.File) error {
	for _, f := range files {
		b.mu.Lock()
		seen := b.fetched[f.Path]
		b.fetched[f.Path] = true
		if !seen {
			b.result.Fetched++
		}
		b.mu.Unlock()
		if seen {
			continue
		}
		if err := b.tree.AddBytes(artifact.Item{Path: f.Path, Kind: "file", Format: "raw"}, f.Contents); err != nil {
			return err
		}
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
