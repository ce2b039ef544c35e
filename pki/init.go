package pki

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// Init makes the store of a new cluster in dir: the authorities, and every leaf
// and key that the plan lists, in one step. It is the only thing that makes
// authorities, and refuses a folder that already holds any.
func Init(ctx context.Context, dir string, p *plan.Plan, o Options) (*Store, Issued, error) {
	s := newStore(dir, o.Identities)
	if o.Now != nil {
		s.Now = o.Now
	}
	if o.Rand != nil {
		s.Rand = o.Rand
	}
	issued, err := s.init(ctx, p, o)
	return s, issued, err
}

func (s *Store) init(ctx context.Context, p *plan.Plan, o Options) (Issued, error) {
	x, err := newIndex(p.Cluster, o)
	if err != nil {
		return Issued{}, fmt.Errorf("make store %s: %w", s.dir, err)
	}
	if err := os.MkdirAll(s.dir, folderMode); err != nil {
		return Issued{}, fmt.Errorf("make store: %w", err)
	}
	l, err := takeLock(ctx, s.dir, s.Now(), s.Patience, s.Waiting)
	if err != nil {
		return Issued{}, fmt.Errorf("store %s: %w", s.dir, err)
	}
	defer l.release()
	if exists(s.path(indexName)) {
		return Issued{}, fmt.Errorf("store %s holds a cluster already: run `imgforge pki issue` for what it lacks; a new cluster needs another folder", s.dir)
	}
	if err := s.tidy(l); err != nil {
		return Issued{}, err
	}
	if s.hasAuthorities() {
		return Issued{}, fmt.Errorf("store %s has authorities but no %s: restore it from git or a backup; a new cluster needs another folder", s.dir, indexName)
	}
	b, err := newBatch(s, x)
	if err != nil {
		return Issued{}, err
	}
	if err := b.makeAuthorities(ctx, orDefault(o.AuthorityDays)); err != nil {
		return Issued{}, err
	}
	issued, err := b.issue(ctx, p, nil)
	if err != nil {
		return Issued{}, err
	}
	if err := s.writeNotes(); err != nil {
		return Issued{}, err
	}
	return issued, s.commit(ctx, l, b.next, b.files)
}

func orDefault(days int) int {
	if days == 0 {
		return DefaultAuthorityDays
	}
	return days
}

// newIndex is the index of a store without authorities.
func newIndex(cluster string, o Options) (*index, error) {
	if cluster == "" {
		return nil, errors.New("the cluster has no name")
	}
	if o.Algorithm == "" {
		o.Algorithm = DefaultAlgorithm
	}
	if _, err := parseAlgorithm(o.Algorithm); err != nil {
		return nil, err
	}
	if !o.Identities.Leaf.Present() {
		return nil, o.Identities.Leaf.absent(roleLeaf)
	}
	if !o.Identities.Authority.Present() {
		return nil, o.Identities.Authority.absent(roleAuthority)
	}
	if o.AuthorityDays < 0 {
		return nil, fmt.Errorf("authorities of %d days would never be valid", o.AuthorityDays)
	}
	to, err := o.Identities.separate()
	if err != nil {
		return nil, err
	}
	return &index{Version: formatVersion, Cluster: cluster, Algorithm: o.Algorithm, Recipients: to, Anchors: map[string]plan.Anchor{}}, nil
}

// makeAuthorities adds the authorities to a batch, and keeps them open for the
// leaves that follow.
func (b *batch) makeAuthorities(ctx context.Context, days int) error {
	all := authorityNames()
	now := b.store.Now()
	made := make([]*leafSigner, len(all))
	pairs := make([]pair, len(all))
	err := parallel(ctx, len(all), 0, func(i int) error {
		cert, key, err := newAuthority(all[i][1], b.alg, days, now)
		if err != nil {
			return err
		}
		parsed, err := decodeCertificate(cert)
		if err != nil {
			return fmt.Errorf("authority %s: %w", all[i][0], err)
		}
		secret, err := encodeKey(key)
		if err != nil {
			return err
		}
		pairs[i] = pair{secret, cert}
		made[i], err = newLeafSigner(all[i][0], parsed, key, b.alg)
		return err
	})
	if err != nil {
		return err
	}
	first := slices.IndexFunc(all, func(a [2]string) bool { return a[0] == Kubernetes })
	b.next.Origin = fingerprint(pairs[first].public)[:16]
	for i, a := range all {
		e := entry{ID: a[0], Kind: kindAuthority, Generation: 1}
		if err := b.add(&e, pairs[i]); err != nil {
			return err
		}
		b.next.Authorities = append(b.next.Authorities, e)
		b.authorities[a[0]] = made[i]
	}
	return nil
}

// writeNotes writes what git needs to know of the folder: that the lock stays
// out, and that no byte is to be converted.
func (s *Store) writeNotes() error {
	if err := artifact.WriteBytes(s.path(".gitignore"), publicMode, []byte("/"+lockName+"\n/"+unfinishedPrefix+"*\n")); err != nil {
		return err
	}
	return artifact.WriteBytes(s.path(".gitattributes"), publicMode, []byte("* -text\n*.age -diff\n"))
}
