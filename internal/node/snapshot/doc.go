// Package snapshot takes snapshots of etcd on a schedule, seals them before a byte
// reaches a disk or a network, and keeps them by rule: on the disk of every master,
// and in a bucket when there is one.
//
// The master that leads etcd takes them; the others copy the newest from whoever has
// it. So a dead master stops nothing, and no two take turns at once.
package snapshot

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// Folder is where every master keeps its snapshots.
const Folder = "/var/lib/imgforge/snapshots"

// Where the rest is, below the root.
const (
	encryptionPath = "/etc/kubernetes/encryption.yaml"
	lockPath       = "/run/imgforge/snapshot.lock"
)

// Ports on a master's address in the cluster network.
const (
	clientPort = "2379"
	peerPort   = "2383" // where masters answer each other
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root   string // "/" when empty
	Report step.Reporter
	// TLS is how this master asks etcd and the other masters.
	TLS *tls.Config
	Now func() time.Time
	// Pace is the time between two looks at whether something is due; 30 s.
	Pace time.Duration
	// Every, when set, stands in for the cluster's own.
	Every time.Duration
	// fault is called between steps, so that tests can end the process there.
	fault func(step string) error
}

// master is one that takes or copies snapshots.
type master struct {
	o       Options
	name    string
	address string
	others  []string // addresses of the other master slots
	cluster artifact.ClusterFile
	plan    artifact.ClusterSnapshot
	every   time.Duration
	key     form.Key
	http    *http.Client
	bucket  *Bucket // nil without one
	last    string  // what was reported last
	// patience and largest are those of [lockWait] and [mostBytes], but for tests.
	patience time.Duration
	largest  int64
}

// load reads what a master knows of snapshots.
func load(o Options) (*master, error) {
	o.Root, o.Pace = cmp.Or(o.Root, "/"), cmp.Or(o.Pace, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.fault == nil {
		o.fault = func(string) error { return nil }
	}
	me, err := artifact.ReadNodeFile(o.Root)
	if err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	c, err := artifact.ReadClusterFile(o.Root)
	if err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	m := &master{o: o, name: me.Node, address: me.Address, cluster: c, plan: Plan(c), patience: lockWait, largest: mostBytes}
	for _, n := range c.Nodes {
		if n.Role == "master" && n.Name != me.Node {
			m.others = append(m.others, n.Address)
		}
	}
	if m.every, err = time.ParseDuration(m.plan.Every); err != nil {
		return nil, fmt.Errorf("read how often snapshots are taken: %w", err)
	}
	m.every = cmp.Or(o.Every, m.every)
	if m.key, err = ReadKey(o.Root); err != nil {
		return nil, err
	}
	if m.bucket, err = OpenBucket(o.Root, m.plan.S3); err != nil {
		return nil, err
	}
	dial := (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	m.http = &http.Client{Transport: &http.Transport{TLSClientConfig: o.TLS, DialContext: dial, ResponseHeaderTimeout: time.Minute, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return m, nil
}

// Plan is a cluster's own schedule, or the one that holds where it says nothing.
func Plan(c artifact.ClusterFile) artifact.ClusterSnapshot {
	if c.Etcd.Snapshot != nil {
		return *c.Etcd.Snapshot
	}
	return artifact.DefaultSnapshot()
}

var encryptionKey = regexp.MustCompile(`(?m)^\s*secret:\s*"?([A-Za-z0-9+/=]+)"?\s*$`)

// ReadKey is the masters' key to their snapshots, of the node below root.
func ReadKey(root string) (form.Key, error) {
	data, err := os.ReadFile(filepath.Join(root, encryptionPath))
	if err != nil {
		return form.Key{}, fmt.Errorf("read the encryption key: %w", err)
	}
	found := encryptionKey.FindSubmatch(data)
	if found == nil {
		return form.Key{}, fmt.Errorf("%s holds no key", encryptionPath)
	}
	return form.NewKey(string(found[1]))
}

func (m *master) folder() string { return filepath.Join(m.o.Root, Folder) }

// List are the snapshots in a folder, from old to new. There may be no folder yet.
func List(folder string) ([]form.Name, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var out []form.Name
	for _, e := range entries {
		if n, ok := form.ParseName(e.Name()); ok && e.Type().IsRegular() {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, form.Name.Compare)
	return out, nil
}

// lockWait is how long one waits for another process that writes snapshots here, before
// it says so: somebody who waits for a command, or a service whose turn comes again.
const lockWait = 20 * time.Minute

// lock lets one process at a time write snapshots here: the service, or one by hand.
func (m *master) lock(ctx context.Context) (unlock func(), err error) {
	path := filepath.Join(m.o.Root, lockPath)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.patience, fmt.Errorf("%s is held by another process for more than %s", lockPath, m.patience))
	defer cancel()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("wait for another snapshot to end: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another snapshot to end: %w", context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// codeOf is the code of a failure on this machine: a full disk has one of its own.
func codeOf(err error) *bootcode.Failure {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission) {
		return bootcode.Fail(bootcode.SnapshotDisk, "%v", err)
	}
	return bootcode.Fail(bootcode.SnapshotFailed, "%v", err)
}

// maxReply bounds a reply that is no snapshot.
const maxReply = 1 << 20

// get reads JSON from another master.
func (m *master) get(ctx context.Context, url string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := m.request(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(into)
}

func (m *master) request(ctx context.Context, method, url string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return resp, nil
}
