package etcd

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

const (
	// candidatePath is the sealed snapshot that this node would restore.
	candidatePath = "/var/lib/imgforge/restore/snapshot.db.age"
	// offerPath is where masters tell each other which snapshot that is, and give it.
	offerPath = "/v1/restore"
)

// hashSize is how much of a snapshot's SHA-256 goes into the cluster's token, in bytes.
const hashSize = 16

// fetchWithin bounds the way of one snapshot.
const fetchWithin = time.Hour

// candidate is a snapshot at hand that opens, and is of this cluster.
type candidate struct {
	hash string // of the sealed file
	at   form.Name
}

// offer is what a master tells of its candidate.
type offer struct {
	Hash     string    `json:"hash"`
	Time     time.Time `json:"time"`
	Revision int64     `json:"revision"`
	// Promised means that it has promised to restore this very one.
	Promised bool `json:"promised"`
}

// better tells whether an offer is to be taken rather than another: a promise cannot
// be taken back, and else the newer one counts. It is the same order on every master.
func (o offer) better(than offer) bool {
	if o.Promised != than.Promised {
		return o.Promised
	}
	return cmp.Or(o.Time.Compare(than.Time), cmp.Compare(o.Revision, than.Revision), cmp.Compare(o.Hash, than.Hash)) > 0
}

func (n *node) offerOf(c *candidate) offer {
	past, _, err := n.recall(n.lineageOf(c.hash))
	return offer{c.hash, c.at.Time, c.at.Revision, err == nil && past == Agreed}
}

// recover finds the candidate that an earlier run left.
func (n *node) recover() error {
	f, err := os.Open(n.path(candidatePath))
	if errors.Is(err, fs.ErrNotExist) || n.restore == "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the snapshot to restore: %w", err)
	}
	defer f.Close()
	c, err := n.inspect(f)
	if err != nil {
		return nil // it is fetched again
	}
	n.candidate.Store(c)
	if !n.asks(n.offerOf(c)) {
		n.candidate.Store(nil) // an earlier payload asked for it
	}
	return nil
}

// inspect reads a sealed snapshot to its end.
func (n *node) inspect(sealed io.Reader) (*candidate, error) {
	key, err := snapshot.ReadKey(n.o.Root)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	all := io.TeeReader(sealed, sum)
	l, err := form.Open(io.Discard, bufio.NewReaderSize(all, 256<<10), key)
	if err == nil && l.Token != n.token {
		err = form.ErrForeign
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return nil, err
	}
	return &candidate{hex.EncodeToString(sum.Sum(nil)[:hashSize]), form.Name{Time: l.Time, Revision: l.Revision}}, nil
}

// fetch gets the snapshot to restore: what etcd.restoreFrom names, or what another
// master has found there, whichever is to be taken.
func (n *node) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	best, from := offer{}, ""
	if c := n.candidate.Load(); c != nil {
		best = n.offerOf(c)
	}
	for _, s := range n.others {
		base := "https://" + net.JoinHostPort(n.addresses[s.Name], probePort) + offerPath
		var o offer
		if n.asked(ctx, base, &o) != nil || o.Hash == best.Hash || !n.asks(o) {
			continue
		}
		if err := n.dispute(o, best); err != nil {
			return bootcode.Fail(bootcode.EtcdRestore, "%s has another snapshot: %v", s.Name, err)
		}
		if o.better(best) {
			best, from = o, base
		}
	}
	switch {
	case from != "":
		err := n.adopt(ctx, func(ctx context.Context, to io.Writer) error { return n.download(ctx, from+"/"+best.Hash, to) })
		if errors.Is(err, errNoRoom) {
			return bootcode.Fail(bootcode.EtcdRestore, "%v", err)
		}
		return err
	case best.Hash != "":
		return nil
	}
	if err := n.adopt(ctx, n.source); err != nil {
		return bootcode.Fail(bootcode.EtcdRestore, "%s: %v", openly(n.restore), err)
	}
	return nil
}

// openly is where a snapshot comes from, for messages: the query of a URL may be what
// opens it.
func openly(from string) string {
	before, query, _ := strings.Cut(from, "?")
	if query != "" && strings.HasPrefix(from, "https:") {
		return before + "?…"
	}
	return from
}

// adopt writes a snapshot to this disk, sealed as it is, and takes it when it opens.
func (n *node) adopt(ctx context.Context, fill func(context.Context, io.Writer) error) error {
	path := n.path(candidatePath)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	var c *candidate
	err := artifact.WriteOpen(path, 0o600, func(f *os.File) error {
		if err := n.arrive(ctx, f, fill); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		var err error
		c, err = n.inspect(f)
		return err
	})
	if err != nil {
		return err
	}
	n.candidate.Store(c)
	return n.fault("fetched")
}

// source writes what etcd.restoreFrom names.
func (n *node) source(ctx context.Context, to io.Writer) error {
	u, err := url.Parse(n.restore)
	if err != nil {
		return err
	}
	switch u.Scheme {
	case "https":
		return snapshot.Fetch(ctx, n.restore, to)
	case "s3":
		b, err := snapshot.OpenBucket(n.o.Root, n.bucket)
		if err != nil {
			return err
		}
		if b == nil {
			return errors.New("this payload has no etcd.snapshot.s3")
		}
		return b.Get(ctx, u, to)
	}
	if err := n.confirm(); err != nil {
		return err
	}
	f, err := os.Open(n.path(n.restore))
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("no master has this file")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

// asked reads another master's offer.
func (n *node) asked(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, n.o.Timeout)
	defer cancel()
	var b limited
	if err := n.download(ctx, url, &b); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// limited is a short answer.
type limited []byte

func (l *limited) Write(p []byte) (int, error) {
	if len(*l)+len(p) > maxReply {
		return 0, errors.New("the answer is too long")
	}
	*l = append(*l, p...)
	return len(p), nil
}

// download asks another master, for as long as ctx allows: snapshots are large.
func (n *node) download(ctx context.Context, url string, to io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	patient := *n.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// offers adds what this node tells of its candidate to what masters tell each other.
func (n *node) offers(mux *http.ServeMux) {
	mux.HandleFunc("GET "+offerPath, func(w http.ResponseWriter, r *http.Request) {
		c := n.candidate.Load()
		if c == nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(n.offerOf(c)) // an asker that went away asks again
	})
	mux.HandleFunc("GET "+offerPath+"/{hash}", func(w http.ResponseWriter, r *http.Request) {
		if c := n.candidate.Load(); c == nil || r.PathValue("hash") != c.hash {
			http.NotFound(w, r)
			return
		}
		snapshot.SendFile(w, r, n.path(candidatePath))
	})
}
