package snapshot

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// standing is what this node's etcd says of itself.
type standing struct {
	cluster  uint64
	revision int64
	leads    bool
}

func (m *master) etcd(method string) string {
	return "https://" + net.JoinHostPort(m.address, clientPort) + "/v3/maintenance/" + method
}

// standing asks this node's own etcd.
func (m *master) standing(ctx context.Context) (s standing, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	resp, err := m.request(ctx, http.MethodPost, m.etcd("status"), strings.NewReader("{}"))
	if err != nil {
		return s, fmt.Errorf("ask etcd: %w", err)
	}
	defer resp.Body.Close()
	var a struct {
		Header struct {
			Cluster  uint64 `json:"cluster_id,string"`
			Member   uint64 `json:"member_id,string"`
			Revision int64  `json:"revision,string"`
		} `json:"header"`
		Leader  uint64 `json:"leader,string"`
		Learner bool   `json:"isLearner"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReply)).Decode(&a); err != nil {
		return s, fmt.Errorf("read etcd's answer: %w", err)
	}
	return standing{a.Header.Cluster, a.Header.Revision, a.Leader != 0 && a.Leader == a.Header.Member && !a.Learner}, nil
}

// stream writes a snapshot of this node's etcd as it comes: JSON with base64 inside,
// one message after the other.
func (m *master) stream(ctx context.Context, to io.Writer) error {
	resp, err := m.request(ctx, http.MethodPost, m.etcd("snapshot"), strings.NewReader("{}"))
	if err != nil {
		return fmt.Errorf("ask etcd for a snapshot: %w", err)
	}
	defer resp.Body.Close()
	messages := json.NewDecoder(bufio.NewReaderSize(resp.Body, 256<<10))
	for {
		var part struct {
			Result struct {
				Blob []byte `json:"blob"`
			} `json:"result"`
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		switch err := messages.Decode(&part); {
		case errors.Is(err, io.EOF):
			return nil // whether it was whole, its hash tells
		case err != nil:
			return fmt.Errorf("read etcd's snapshot: %w", err)
		case part.Error.Message != "":
			return fmt.Errorf("etcd ends the snapshot: %s", part.Error.Message)
		}
		if _, err := to.Write(part.Result.Blob); err != nil {
			return err
		}
	}
}

// most is how long a snapshot may take: eight gigabytes over a slow disk.
const most = time.Hour

// mostBytes is the size of a sealed snapshot that nobody goes beyond: etcd advises against
// databases of more than 8 GiB, and sealing adds 16 bytes to every 64 KiB.
const mostBytes = 9 << 30

// take writes a snapshot. It appears whole and checked, or not at all, and nothing of
// it is ever in the clear on a disk.
func (m *master) take(ctx context.Context) (n form.Name, err error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return n, err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	now, err := m.standing(ctx)
	if err != nil {
		return n, err
	}
	n = form.Name{Time: m.o.Now().UTC().Truncate(time.Second), Revision: now.revision}
	l := form.Label{Cluster: m.cluster.Cluster, Token: m.cluster.Etcd.Token, Etcd: strconv.FormatUint(now.cluster, 16), Node: m.name, Revision: n.Revision, Time: n.Time}
	return n, m.keep(n, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 256<<10)
		err := form.Seal(w, m.key, m.cluster.Etcd.Recipients, l, func(to io.Writer) error { return m.stream(ctx, to) })
		return errors.Join(err, w.Flush())
	})
}

// keep writes a snapshot's file, reads it again, and only then gives it its name.
func (m *master) keep(n form.Name, fill func(f *os.File) error) error {
	if err := os.MkdirAll(m.folder(), 0o700); err != nil {
		return err
	}
	if err := m.sweep(); err != nil {
		return err
	}
	err := artifact.WriteOpen(filepath.Join(m.folder(), n.String()), 0o600, func(f *os.File) error {
		if err := fill(f); err != nil {
			return err
		}
		if err := m.o.fault("written"); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := m.check(f); err != nil {
			return fmt.Errorf("read what was written: %w", err)
		}
		return m.o.fault("checked")
	})
	if err != nil {
		return err
	}
	if err := m.o.fault("named"); err != nil {
		return err
	}
	return m.point()
}

// check reads a sealed snapshot to its end, and wants one of this cluster.
func (m *master) check(sealed io.Reader) (form.Label, error) {
	l, err := form.Open(io.Discard, bufio.NewReaderSize(sealed, 256<<10), m.key)
	if err == nil && l.Token != m.cluster.Etcd.Token {
		err = form.ErrForeign
	}
	return l, err
}

// sweep removes what a process that was killed left unfinished. The lock is held.
func (m *master) sweep() error {
	left, err := filepath.Glob(filepath.Join(m.folder(), ".imgforge-tmp-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// point makes latest.db.age the newest one, as long as there is any that is not of the
// future: what a clock that was wrong has named must not be restored in place of what
// came after it.
func (m *master) point() error {
	names, err := List(m.folder())
	if err != nil || len(names) == 0 {
		return err
	}
	latest, ok := m.newest()
	if !ok {
		latest = names[len(names)-1]
	}
	next := filepath.Join(m.folder(), ".imgforge-tmp-latest")
	if err := os.Symlink(latest.String(), next); err != nil {
		return err
	}
	return os.Rename(next, filepath.Join(m.folder(), form.Latest))
}

// prune removes what the rule does not keep. Snapshots of the future stay until their
// time has come, and take the place of no other.
func (m *master) prune() error {
	names, err := List(m.folder())
	if err != nil {
		return err
	}
	for _, n := range m.rule().Surplus(slices.DeleteFunc(names, m.ahead)) {
		if err := os.Remove(filepath.Join(m.folder(), n.String())); err != nil {
			return fmt.Errorf("remove an old snapshot: %w", err)
		}
	}
	return nil
}

func (m *master) rule() form.Rule {
	return form.Rule{Last: m.plan.Last, Daily: m.plan.Daily, Weekly: m.plan.Weekly}
}
