package etcd

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	form "github.com/imgforge/imgforge/internal/snapshot"
)

// revisionBump is added to the revision of a snapshot, and all before it counts as
// compacted: watchers and caches that saw later revisions of the lost cluster list
// anew, rather than take what is restored for what they knew. It is the number that
// etcd's own guide to disasters names, enough for a week at 1500 writes a second.
const revisionBump = 1_000_000_000

// workName is where a restore is made within the data folder, so that it moves into
// place by one rename.
const workName = "restoring"

// restoreData gives this node the data of a founder of the restored cluster, by
// etcdutl's own code, which this program carries. The snapshot is never in the clear
// outside of memory; the data is etcd's then. Killed on the way, it begins anew.
func (n *node) restoreData(cluster string) error {
	c := n.candidate.Load()
	if c == nil || c.hash != n.line.restored {
		return errors.New("the snapshot that was agreed on is gone from this disk")
	}
	info, err := os.Stat(n.path(candidatePath))
	if err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	if err := n.memoryHolds(info.Size()); err != nil { // sealing adds less than a thousandth
		return bootcode.Fail(bootcode.EtcdRestore, "%v", err)
	}
	plain, path, err := memoryFile()
	if err != nil {
		return fmt.Errorf("keep the snapshot in memory: %w", err)
	}
	defer plain.Close()
	if err := n.unseal(plain, c.hash); err != nil {
		return err
	}
	data := n.path(dataPath)
	work := filepath.Join(data, workName)
	if err := os.RemoveAll(work); err != nil {
		return fmt.Errorf("clear an unfinished restore: %w", err)
	}
	err = etcdutl.NewV3(zap.NewNop()).Restore(etcdutl.RestoreConfig{SnapshotPath: path, Name: n.self.Name, OutputDataDir: work, PeerURLs: []string{n.self.URL},
		InitialCluster: cluster, InitialClusterToken: n.tokenOf(c.hash), RevisionBump: revisionBump, MarkCompacted: true})
	if err != nil {
		return fmt.Errorf("restore the snapshot: %w", err)
	}
	if err := n.fault("restored"); err != nil {
		return err
	}
	switch disk, err := readDisk(work); {
	case err != nil:
		return err
	case disk.Held != Data || disk.Cluster != n.line.id:
		return fmt.Errorf("the restore made data of cluster %s, not %s", disk.Cluster, n.line.id)
	}
	if err := syncTree(work); err != nil {
		return err
	}
	if err := setAside(data); err != nil { // of a start that was cut short
		return err
	}
	if err := os.Rename(filepath.Join(work, "member"), filepath.Join(data, "member")); err != nil {
		return fmt.Errorf("move the restored data into place: %w", err)
	}
	if err := syncFolder(data); err != nil {
		return err
	}
	os.Remove(work) // it is empty; the next restore clears it otherwise
	return nil
}

// unseal writes the candidate's plain bytes, and wants the very one that was agreed on.
func (n *node) unseal(plain *os.File, hash string) error {
	f, err := os.Open(n.path(candidatePath))
	if err != nil {
		return err
	}
	defer f.Close()
	again, err := n.inspect(f)
	if err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	if again.hash != hash {
		return errors.New("the snapshot on this disk has changed")
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	key, err := snapshot.ReadKey(n.o.Root)
	if err != nil {
		return err
	}
	if _, err := form.Open(plain, bufio.NewReaderSize(f, 256<<10), key); err != nil {
		return fmt.Errorf("open the snapshot: %w", err)
	}
	return nil
}

// forget removes the candidate of a restore that has come to its end.
func (n *node) forget() {
	if c := n.candidate.Load(); c == nil || c.hash != n.line.restored {
		return
	}
	if err := os.Remove(n.path(candidatePath)); err == nil || errors.Is(err, fs.ErrNotExist) {
		n.candidate.Store(nil)
	}
}

// syncTree makes a folder and all in it durable.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFolder(path) // which syncs files as well
	})
}
