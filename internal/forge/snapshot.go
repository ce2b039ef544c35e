package forge

import (
	"bufio"
	"fmt"
	"io"
	"os"

	"filippo.io/age"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/snapshot"
)

// SnapshotDecrypt opens a sealed snapshot of etcd into a new file, 0600, as etcdutl
// restores it, and tells what it is. The leaf identity opens it by way of the store's
// encryption key; without that, a file of the authority identity does, and no store.
func (a *App) SnapshotDecrypt(src Source, sealed, out, identity string) ([]string, error) {
	ids, err := a.snapshotIdentities(src, identity)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(sealed)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := os.Lstat(out); err == nil {
		return nil, fmt.Errorf("%s is there already: name another file, or move it away", out)
	}
	var l snapshot.Label
	err = artifact.WriteFile(out, 0o600, func(w io.Writer) error {
		l, err = snapshot.Open(w, bufio.NewReaderSize(f, 256<<10), ids...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", sealed, err)
	}
	return []string{
		fmt.Sprintf("%s is etcd of cluster %s, at revision %d or later, taken by %s on %s", out, l.Cluster, l.Revision, l.Node, l.Time.UTC().Format("2006-01-02 15:04:05 UTC")),
		"it holds every Secret of the cluster that the API server did not encrypt, and the others under the store's encryption key: remove it when you are done",
	}, nil
}

// snapshotIdentities are those of a file, or the key that masters and the store have.
func (a *App) snapshotIdentities(src Source, identity string) ([]age.Identity, error) {
	if identity != "" {
		f, err := os.Open(identity)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		ids, err := age.ParseIdentities(f)
		if err != nil {
			return nil, fmt.Errorf("%s holds no age identity", identity)
		}
		return ids, nil
	}
	_, st, err := a.openStore(src)
	if err != nil {
		return nil, err
	}
	text, err := st.Secret("encryption")
	if err != nil {
		return nil, err
	}
	key, err := snapshot.NewKey(string(text))
	if err != nil {
		return nil, err
	}
	return []age.Identity{key}, nil
}
