package forge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/pki"
)

// locations are where this user's identities for a cluster may be.
func (a *App) locations(cluster string) pki.Locations {
	dir := a.Getenv("XDG_CONFIG_HOME")
	if home := a.Getenv("HOME"); dir == "" && home != "" {
		dir = home + "/.config"
	}
	return pki.Locations{Getenv: a.Getenv, ConfigDir: dir, Cluster: cluster}
}

// PKIInit makes the store of a new cluster and, where there are none yet, this
// user's identities.
func (a *App) PKIInit(ctx context.Context, src Source) ([]string, error) {
	return a.pkiInit(ctx, src, true)
}

// pkiInit makes the authorities, and with issue all that the cluster file needs:
// the first issue anchors slots and founders, so it must see the file as its author
// wants it, not an example that is still to be edited.
func (a *App) pkiInit(ctx context.Context, src Source, issue bool) ([]string, error) {
	c, err := a.load(src, noFacts)
	if err != nil {
		return nil, err
	}
	// Asked before identities are made: a refusal must leave nothing behind.
	if _, err := os.Stat(c.dir + "/store.json"); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is a store at %s already: run `imgforge pki issue` for what it lacks; a new cluster needs another folder", c.dir)
	}
	ids, made, err := a.locations(c.spec.Name).Create()
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, id := range []pki.Identity{ids.Leaf, ids.Authority} {
		if !slices.Contains(made, id.From()) {
			lines = append(lines, "uses the identity that is there: "+id.From())
		}
	}
	for _, path := range made {
		lines = append(lines, "made identity "+path+": keep a copy somewhere safe, and out of git")
	}
	p := &plan.Plan{Cluster: c.plan.Cluster}
	if issue {
		p = c.plan
		a.logf("making %d certificates and %d keys", len(p.Certificates), len(p.Keys))
	}
	_, issued, err := pki.Init(ctx, c.dir, p, a.storeOptions(c, ids))
	if err != nil {
		return nil, err
	}
	return append(lines, fmt.Sprintf("made the store at %s: 4 authorities, %s; commit it to git", c.dir, tally(p, issued.Made))), nil
}

func (a *App) storeOptions(c *cluster, ids pki.Identities) pki.Options {
	return pki.Options{Identities: ids, Algorithm: c.spec.PKI.Algorithm, AuthorityDays: c.spec.PKI.AuthorityDays, Now: a.Now, Rand: a.Rand}
}

// throwaway makes a store that lives as long as one command.
func (a *App) throwaway(ctx context.Context, src Source, dir string) (*cluster, *pki.Store, error) {
	c, err := a.load(src, noFacts)
	if err != nil {
		return nil, nil, err
	}
	ids, err := pki.NewIdentities()
	if err != nil {
		return nil, nil, err
	}
	a.logf("%s: making a throwaway store with %d certificates and %d keys", c.file, len(c.plan.Certificates), len(c.plan.Keys))
	if _, _, err := pki.Init(ctx, dir, c.plan, a.storeOptions(c, ids)); err != nil {
		return nil, nil, err
	}
	st, err := pki.Open(dir, c.spec.Name, ids)
	if err != nil {
		return nil, nil, err
	}
	facts, err := st.Facts()
	if err != nil {
		return nil, nil, err
	}
	c.plan.LatestBoot = facts.LatestBoot
	return c, st, nil
}

// openStore loads a source with its store, with whatever identities there are.
func (a *App) openStore(src Source) (*cluster, *pki.Store, error) {
	c, err := a.load(src, storeFacts(src.storeDir()))
	if err != nil {
		return nil, nil, err
	}
	st, err := a.storeOf(c)
	return c, st, err
}

// storeOf opens a cluster's store with this user's identities.
func (a *App) storeOf(c *cluster) (*pki.Store, error) {
	ids, err := a.locations(c.spec.Name).Load()
	if err != nil {
		return nil, err
	}
	st, err := pki.Open(c.dir, c.spec.Name, ids)
	if err != nil {
		return nil, err
	}
	st.Now, st.Rand = a.Now, a.Rand
	st.Waiting = func(holder string) { a.logf("waiting for %s, which is writing to the store", holder) }
	return st, nil
}

// PKIIssue issues what the plan needs and the store lacks.
func (a *App) PKIIssue(ctx context.Context, src Source) ([]string, error) {
	c, st, err := a.openStore(src)
	if err != nil {
		return nil, err
	}
	issued, err := st.Issue(ctx, c.plan)
	if err != nil {
		return nil, err
	}
	return describe(c.plan, issued, "nothing to issue: the store has all that the cluster file needs"), nil
}

// PKIRenew renews the named leaves, or with no name those that end within that
// many days. A name is an ID of `pki status`, or a node for all of its leaves.
func (a *App) PKIRenew(ctx context.Context, src Source, names []string, within int) ([]string, error) {
	c, st, err := a.openStore(src)
	if err != nil {
		return nil, err
	}
	if err := a.checkNames(st, names); err != nil {
		return nil, err
	}
	issued, err := st.Renew(ctx, c.plan, func(e pki.Entry) bool {
		if len(names) == 0 {
			return e.DaysLeft < within
		}
		return slices.Contains(names, e.ID) || e.Node != "" && slices.Contains(names, e.Node)
	})
	if err != nil {
		return nil, err
	}
	nothing := fmt.Sprintf("nothing to renew: no leaf ends within %d days", within)
	if e, ok, err := a.nextToEnd(st); err != nil {
		return nil, err
	} else if ok {
		nothing += fmt.Sprintf("; the first to end is %s, on %s", e.ID, e.NotAfter.Format(time.DateOnly))
	}
	return describe(c.plan, issued, nothing), nil
}

// checkNames refuses a name that would renew nothing.
func (a *App) checkNames(st *pki.Store, names []string) error {
	entries, err := st.Status(a.Now())
	if err != nil {
		return err
	}
	for _, name := range names {
		found := slices.ContainsFunc(entries, func(e pki.Entry) bool { return e.Kind == "leaf" && (e.ID == name || e.Node == name) })
		if !found {
			return fmt.Errorf("the store has no leaf or node %q: `imgforge pki status` lists them; authorities are not renewed", name)
		}
	}
	return nil
}

// nextToEnd is the leaf in use that ends first.
func (a *App) nextToEnd(st *pki.Store) (next pki.Entry, ok bool, err error) {
	entries, err := st.Status(a.Now())
	for _, e := range entries {
		if e.Kind == "leaf" && !e.Unused && (!ok || e.NotAfter.Before(next.NotAfter)) {
			next, ok = e, true
		}
	}
	return next, ok, err
}

// PKIStatus is every certificate with the days it has left.
type PKIStatus struct {
	Entries    []pki.Entry `json:"certificates"`
	LatestBoot string      `json:"latestBoot"`
	// Under are the IDs with fewer days than the threshold.
	Under []string `json:"under"`
}

// PKIStatus needs no identity.
func (a *App) PKIStatus(src Source, threshold int) (*PKIStatus, error) {
	_, st, err := a.openStore(src)
	if err != nil {
		return nil, err
	}
	facts, err := st.Facts()
	if err != nil {
		return nil, err
	}
	entries, err := st.Status(a.Now())
	if err != nil {
		return nil, err
	}
	out := &PKIStatus{Entries: entries, LatestBoot: facts.LatestBoot, Under: []string{}}
	for _, e := range entries {
		if e.DaysLeft < threshold && !e.Unused {
			out.Under = append(out.Under, e.ID)
		}
	}
	return out, nil
}

// SecretSet seals a user's secret under a name.
func (a *App) SecretSet(ctx context.Context, src Source, name string, value []byte) ([]string, error) {
	c, st, err := a.openSecrets(src)
	if err != nil {
		return nil, err
	}
	changed, err := st.SetSecret(ctx, name, value)
	if err != nil {
		return nil, err
	}
	if !changed {
		return []string{"secret " + name + " has this value already"}, nil
	}
	return []string{"sealed secret " + name + " in " + c.dir + "; commit the store"}, nil
}

// SecretList lists the names of the secrets in the store, those that the cluster
// file asks for and the store lacks, and those that it asks for no longer.
func (a *App) SecretList(src Source) ([]string, error) {
	c, st, err := a.openSecrets(src)
	if err != nil {
		return nil, err
	}
	have := st.Secrets()
	var asked, lines []string
	ask := func(name, where string) {
		if name == "" {
			return
		}
		asked = append(asked, name)
		if !slices.Contains(have, name) {
			lines = append(lines, name+" (not set: "+where+" asks for it; run `imgforge secret set "+name+"`)")
		}
	}
	for _, r := range c.spec.Registries {
		ask(r.PasswordRef, "registries")
	}
	if b := c.spec.Etcd.Snapshot.S3; b != nil {
		ask(b.AccessKeyRef, "etcd.snapshot.s3")
		ask(b.SecretKeyRef, "etcd.snapshot.s3")
	}
	if c.spec.Platform.Provider == "scaleway" {
		ask(c.spec.Platform.Scaleway.PublicIPKeyRef, "platform.scaleway")
	}
	for _, name := range have {
		if !slices.Contains(asked, name) {
			name += " (nothing in " + c.file + " asks for it)"
		}
		lines = append(lines, name)
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}

// openSecrets opens the store of a file whose only problem may be a secret that
// is not set yet: that is what the command is for.
func (a *App) openSecrets(src Source) (*cluster, *pki.Store, error) {
	c, err := a.check(src, noFacts)
	if err != nil {
		return nil, nil, err
	}
	if c.plan == nil {
		return nil, nil, c.report.Err()
	}
	st, err := a.storeOf(c)
	return c, st, err
}
