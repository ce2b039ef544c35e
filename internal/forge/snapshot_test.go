package forge

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/imgforge/imgforge/internal/snapshot"
)

// The file of the authority identity opens a snapshot without a store, into a file
// that only its owner reads, once.
func TestSnapshotDecryptWithTheAuthorityIdentity(t *testing.T) {
	dir := t.TempDir()
	person, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("a database "), 1000)
	sum := sha256.Sum256(plain)
	plain = append(plain, sum[:]...)
	var sealed bytes.Buffer
	err = snapshot.Seal(&sealed, snapshot.Key{1}, []string{person.Recipient().String()}, snapshot.Label{Cluster: "nostromo", Revision: 7, Node: "master-1"},
		func(w io.Writer) error { _, err := w.Write(plain); return err })
	if err != nil {
		t.Fatal(err)
	}
	file, key, out := filepath.Join(dir, "x.db.age"), filepath.Join(dir, "authority.agekey"), filepath.Join(dir, "x.db")
	for path, data := range map[string][]byte{file: sealed.Bytes(), key: []byte("# mine\n" + person.String() + "\n")} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := (&App{}).SnapshotDecrypt(Source{}, file, out, key)
	if err != nil || !strings.Contains(strings.Join(lines, "\n"), "etcd of cluster nostromo, at revision 7 or later, taken by master-1") {
		t.Fatalf("%v %q", err, lines)
	}
	if got, err := os.ReadFile(out); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if _, err := (&App{}).SnapshotDecrypt(Source{}, file, out, key); err == nil {
		t.Error("it wrote over a file")
	}
	if err := os.WriteFile(file, sealed.Bytes()[:sealed.Len()-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (&App{}).SnapshotDecrypt(Source{}, file, out+"2", key); err == nil {
		t.Error("it opened what is cut short")
	}
	if _, err := os.Stat(out + "2"); err == nil {
		t.Error("it left a part of it")
	}
}
