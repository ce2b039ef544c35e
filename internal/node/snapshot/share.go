package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	form "github.com/imgforge/imgforge/internal/snapshot"
)

// SharePath is where masters give each other their snapshots: a list of names, from
// old to new, and below it the files. They are sealed, and asked for over mTLS.
const SharePath = "/v1/snapshots"

// Share adds the answers to what masters tell each other.
func Share(mux *http.ServeMux, root string) {
	folder := filepath.Join(root, Folder)
	mux.HandleFunc("GET "+SharePath, func(w http.ResponseWriter, r *http.Request) {
		names, err := List(folder)
		if err != nil {
			http.Error(w, "this node cannot read its snapshots", http.StatusServiceUnavailable)
			return
		}
		out := []string{}
		for _, n := range names {
			out = append(out, n.String())
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out) // an asker that went away asks again
	})
	mux.HandleFunc("GET "+SharePath+"/{name}", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := form.ParseName(r.PathValue("name")); !ok {
			http.NotFound(w, r)
			return
		}
		SendFile(w, r, filepath.Join(folder, r.PathValue("name")))
	})
}

// SendFile answers with a file however long it takes: answers are short elsewhere.
func SendFile(w http.ResponseWriter, r *http.Request, path string) {
	f, err := os.Open(path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(most)) // not all servers have one
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", time.Time{}, f)
}

// copyNewest gets the newest snapshot that another master has and this one has not.
func (m *master) copyNewest(ctx context.Context) error {
	own, err := List(m.folder())
	if err != nil {
		return err
	}
	var newest form.Name
	if len(own) > 0 {
		newest = own[len(own)-1]
	}
	from := ""
	for _, address := range m.others {
		base := "https://" + net.JoinHostPort(address, peerPort) + SharePath
		var theirs []string
		if m.get(ctx, base, &theirs) != nil || len(theirs) == 0 {
			continue // it is away, or has none
		}
		if n, ok := form.ParseName(theirs[len(theirs)-1]); ok && n.Compare(newest) > 0 && !m.ahead(n) {
			newest, from = n, base
		}
	}
	if from == "" {
		return nil
	}
	unlock, err := m.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	resp, err := m.request(ctx, http.MethodGet, from+"/"+newest.String(), nil)
	if err != nil {
		return fmt.Errorf("copy a snapshot: %w", err)
	}
	defer resp.Body.Close()
	if err := m.room(resp.ContentLength); err != nil {
		return err
	}
	err = m.keep(newest, func(f *os.File) error {
		// Whoever sends more than anybody keeps must not fill the disk that etcd writes to.
		n, err := io.Copy(f, io.LimitReader(resp.Body, m.largest+1))
		if err == nil && n > m.largest {
			err = fmt.Errorf("%s is larger than %d bytes", newest, m.largest)
		}
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// spare is what a copy leaves free on its disk, in bytes: nodes run on, and a write-ahead
// log of etcd, which grows by 64 MB at a time, may lie there too.
const spare = 256 << 20

// room refuses to begin a copy of so many bytes for which the disk has no room.
func (m *master) room(bytes int64) error {
	if bytes > m.largest {
		return fmt.Errorf("copy a snapshot: %d bytes are more than the %d that one may have", bytes, m.largest)
	}
	if err := os.MkdirAll(m.folder(), 0o700); err != nil {
		return err
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(m.folder(), &disk); err != nil {
		return fmt.Errorf("look at the disk of %s: %w", Folder, err)
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); bytes > free-spare {
		return fmt.Errorf("copy a snapshot of %d bytes to %s: %w: %d bytes are free, of which %d stay so", bytes, Folder, syscall.ENOSPC, free, spare)
	}
	return nil
}

// drift is how far masters' clocks may differ before a snapshot counts as one of the
// future, which would stop all others until then.
const drift = 5 * time.Minute

func (m *master) ahead(n form.Name) bool { return n.Time.After(m.o.Now().Add(drift)) }
