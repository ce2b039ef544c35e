// Package pki makes and keeps a cluster's authorities, certificates and keys.
// The store is a folder meant for git: public halves in the clear, private parts
// sealed with age. It is the only source of entropy, and nothing in it is
// renewed or replaced unless somebody asks.
package pki

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// DefaultAuthorityDays is the lifetime of authorities unless told otherwise:
// kubeadm's ten years.
const DefaultAuthorityDays = 3650

// defaultPatience is how long a writing run waits for another one.
const defaultPatience = 10 * time.Second

// Options are what making a store needs besides a plan. Zero values take the
// defaults.
type Options struct {
	// Identities must hold both; the store is sealed to their public halves.
	Identities Identities
	// Algorithm of authorities and leaves: ecdsa-256 (default), rsa-2048,
	// rsa-3072 or rsa-4096.
	Algorithm string
	// AuthorityDays is the lifetime of authorities; 0 means [DefaultAuthorityDays].
	AuthorityDays int

	Now  func() time.Time
	Rand io.Reader
}

// Store is one cluster's store as it was when it was opened: later writes of
// other runs do not show, and never mix in. Methods that only read may be called
// by several goroutines at once.
type Store struct {
	// Now and Rand are the clock and the entropy of everything issued. Rand does
	// not reach the key generation of the standard library, CFSSL and age, which
	// read the system's source alone.
	Now  func() time.Time
	Rand io.Reader
	// Patience is how long a writing method waits for another run; Waiting, when
	// set, is told once who that is.
	Patience time.Duration
	Waiting  func(holder string)

	dir   string
	ids   Identities
	raw   []byte // store.json as read
	index *index
	files map[string][]byte // everything the index names, by path

	mu     sync.Mutex
	opened map[string][]byte // secrets by ID

	// step is called after each step of a write; tests end the process in it.
	step func(what string)
}

// Open reads the store in dir, which must be that of the cluster. It opens no
// sealed file, so it needs no identity yet.
func Open(dir, cluster string, ids Identities) (*Store, error) {
	s := newStore(dir, ids)
	if err := s.load(context.Background()); err != nil {
		return nil, err
	}
	if err := s.belongsTo(cluster); err != nil {
		return nil, err
	}
	return s, nil
}

func newStore(dir string, ids Identities) *Store {
	return &Store{Now: time.Now, Rand: rand.Reader, Patience: defaultPatience, dir: dir, ids: ids, opened: map[string][]byte{}}
}

// Dir is the store's folder.
func (s *Store) Dir() string { return s.dir }

// Algorithm is the key algorithm of the store's certificates, which never changes.
func (s *Store) Algorithm() string { return s.index.Algorithm }

func (s *Store) belongsTo(cluster string) error {
	if s.index.Cluster != cluster {
		return fmt.Errorf("the store at %s belongs to cluster %q, not %q: name the store of this cluster; a new cluster needs a store folder of its own and `imgforge pki init`",
			s.dir, s.index.Cluster, cluster)
	}
	return nil
}

// restore ends the errors of a store that is not whole.
const restore = "restore the folder from git or a backup; nothing was changed"

// loadTries bounds how often a reader starts again because a writer replaced
// the index meanwhile.
const loadTries = 10

// load takes a snapshot. It needs no lock: files that an index names never
// change, and when one has gone the index has been replaced, so the reader
// starts again with the new one.
func (s *Store) load(ctx context.Context) error {
	var last error
	for range loadTries {
		raw, err := os.ReadFile(s.path(indexName))
		if err != nil {
			return s.missing(err)
		}
		if last != nil && bytes.Equal(raw, s.raw) {
			return last
		}
		x, err := decodeIndex(raw)
		if foreign, ok := errors.AsType[*versionError](err); ok {
			return fmt.Errorf("store %s: %w", s.dir, foreign)
		}
		if err != nil {
			return fmt.Errorf("store %s: %s is damaged (%w): %s", s.dir, indexName, err, restore)
		}
		s.raw = raw
		files, err := s.read(ctx, x)
		if err == nil {
			s.index, s.files = x, files
			return nil
		}
		last = fmt.Errorf("store %s: %w", s.dir, err)
	}
	return last
}

// missing explains why there is no index.
func (s *Store) missing(err error) error {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("store %s: %w", s.dir, err)
	case s.unfinished():
		return fmt.Errorf("there is no store at %s yet: `imgforge pki init` has not finished there: run it again", s.dir)
	case s.hasAuthorities():
		return fmt.Errorf("store %s: %s is missing: %s", s.dir, indexName, restore)
	}
	return fmt.Errorf("there is no store at %s: %s; only for a new cluster run `imgforge pki init`", s.dir, restore)
}

// read loads and checks every file that an index names.
func (s *Store) read(ctx context.Context, x *index) (map[string][]byte, error) {
	all := x.all()
	public, sealed := make([][]byte, len(all)), make([][]byte, len(all))
	err := parallel(ctx, len(all), fileWorkers, func(i int) error {
		e := all[i]
		var err error
		if p := e.publicPath(); p != "" {
			if public[i], err = s.readFile(p); err != nil {
				return err
			}
			if fingerprint(public[i]) != e.Public {
				return fmt.Errorf("%s is not the file that %s names, it was changed or exchanged: %s", p, indexName, restore)
			}
		}
		if sealed[i], err = s.readFile(e.sealedPath()); err != nil {
			return err
		}
		if n := int64(len(sealed[i])); n != e.Sealed {
			return fmt.Errorf("%s has %d bytes instead of %d, it was cut short or exchanged: %s", e.sealedPath(), n, e.Sealed, restore)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	files := make(map[string][]byte, 2*len(all))
	for i, e := range all {
		if p := e.publicPath(); p != "" {
			files[p] = public[i]
		}
		files[e.sealedPath()] = sealed[i]
	}
	return files, nil
}

func (s *Store) readFile(name string) ([]byte, error) {
	data, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: %s", name, restore)
	}
	return data, err
}

// path is where a file of the store is.
func (s *Store) path(name string) string { return filepath.Join(s.dir, filepath.FromSlash(name)) }

// Facts is what a plan needs to know of the store.
func (s *Store) Facts() (plan.Facts, error) {
	f := plan.Facts{Anchors: map[string]plan.Anchor{}, Secrets: s.Secrets()}
	for role, a := range s.index.Anchors {
		f.Anchors[role] = a
	}
	var earliest time.Time
	for _, e := range s.index.Entries {
		if e.Kind != kindCertificate || e.Unused {
			continue
		}
		cert, err := s.certificate(e)
		if err != nil {
			return plan.Facts{}, err
		}
		if earliest.IsZero() || cert.NotAfter.Before(earliest) {
			earliest = cert.NotAfter
		}
	}
	if !earliest.IsZero() {
		f.LatestBoot = earliest.UTC().Format(time.RFC3339)
	}
	return f, nil
}

// certificate parses an entry's certificate.
func (s *Store) certificate(e entry) (*x509.Certificate, error) {
	cert, err := decodeCertificate(s.files[e.publicPath()])
	if err != nil {
		return nil, fmt.Errorf("store %s: %s cannot be read (%w): %s", s.dir, e.publicPath(), err, restore)
	}
	return cert, nil
}

// hasAuthorities tells whether a folder without index was a store once.
func (s *Store) hasAuthorities() bool {
	list, err := os.ReadDir(s.path("authorities"))
	return err == nil && len(list) > 0
}

// unfinished tells whether an Init was killed, or is still at work, in a folder
// without index: its journal then lists the authorities.
func (s *Store) unfinished() bool {
	f, err := os.Open(s.path(lockName))
	if err != nil {
		return false
	}
	defer f.Close()
	first := entry{ID: Kubernetes, Kind: kindAuthority, Generation: 1}
	j, ok := readJournal(f)
	return ok && slices.Contains(j.Files, first.publicPath())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
