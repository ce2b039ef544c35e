package etcd

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The values of the staged manifest are replaced where they stand, once, and by
// nothing that a manifest could read as anything else.
func TestManifestIsFilled(t *testing.T) {
	staged := "command:\n- \"etcd\"\n- \"" + placeCluster + "\"\n- \"" + placeState + "\"\n- \"--initial-cluster-token=x\"\n"
	got, err := fillManifest([]byte(staged), "master-1=https://10.0.0.1:2380,master-2=https://[fd00::2]:2380", stateNew)
	want := "command:\n- \"etcd\"\n- \"--initial-cluster=master-1=https://10.0.0.1:2380,master-2=https://[fd00::2]:2380\"\n- \"--initial-cluster-state=new\"\n- \"--initial-cluster-token=x\"\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v", got, err)
	}
	for name, tc := range map[string]struct{ staged, cluster string }{
		"no place for the members": {strings.Replace(staged, placeCluster, "", 1), "a=b"},
		"two of them":              {staged + placeCluster, "a=b"},
		"no place for the state":   {strings.Replace(staged, placeState, "", 1), "a=b"},
		"a quote":                  {staged, `a="b`},
		"a new line":               {staged, "a=b\nc"},
		"no members":               {staged, ""},
	} {
		if got, err := fillManifest([]byte(tc.staged), tc.cluster, stateNew); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// walHead is the beginning of a segment as etcd writes it.
func walHead(sum uint32, member, cluster uint64) []byte {
	metadata := binary.AppendUvarint([]byte{1 << 3}, member)
	metadata = binary.AppendUvarint(append(metadata, 2<<3), cluster)
	frame := func(kind uint64, sum uint32, data []byte) []byte {
		body := binary.AppendUvarint([]byte{1 << 3}, kind)
		body = binary.AppendUvarint(append(body, 2<<3), uint64(sum))
		if data != nil {
			body = append(binary.AppendUvarint(append(body, 3<<3|2), uint64(len(data))), data...)
		}
		pad := (8 - len(body)%8) % 8
		length := uint64(len(body))
		if pad > 0 {
			length |= uint64(0x80|pad) << 56
		}
		return append(append(binary.LittleEndian.AppendUint64(nil, length), body...), make([]byte, pad)...)
	}
	return append(frame(recordChecksum, sum, nil), frame(recordMetadata, crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), metadata), metadata)...)
}

func TestDisks(t *testing.T) {
	good := walHead(0xfeed, 1<<63+5, 77)
	flipped := append([]byte{}, good...)
	flipped[len(flipped)-6] ^= 1
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  Disk
	}{
		{"an empty folder", nil, Disk{}},
		{"a first start that was cut short", map[string]string{"member/snap/db": "x", "member/wal.tmp/0-0.wal": "x"}, Disk{}},
		{"data", map[string]string{"member/wal/0000000000000002-0000000000000010.wal": string(good), "member/wal/0000000000000003-0000000000000020.wal": "later"}, Disk{Data, 1<<63 + 5, 77}},
		{"a flipped bit", map[string]string{"member/wal/0-0.wal": string(flipped)}, Disk{Held: Damaged}},
		{"a short file", map[string]string{"member/wal/0-0.wal": string(good[:20])}, Disk{Held: Damaged}},
		{"zeros", map[string]string{"member/wal/0-0.wal": strings.Repeat("\x00", 8192)}, Disk{Held: Damaged}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tc.files {
				path := filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := readDisk(dir); err != nil || got != tc.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tc.want)
			}
		})
	}
	if _, err := readDisk(filepath.Join(t.TempDir(), "x\x00")); err == nil {
		t.Error("a disk that does not answer counts as empty")
	}
}

// Whatever lies there, reading it neither fails badly nor makes a member of nothing.
func FuzzLogHead(f *testing.F) {
	f.Add(walHead(0, 5, 6))
	f.Add([]byte{8, 0, 0, 0, 0, 0, 0, 0x87, 8})
	f.Fuzz(func(t *testing.T, data []byte) {
		if member, cluster, ok := logHead(data); ok && (member == 0 || cluster == 0) {
			t.Errorf("member %s of cluster %s", member, cluster)
		}
	})
}

// The guard leaves a manifest only where it starts what belongs there.
func TestGuard(t *testing.T) {
	l := newLab(t, "", 3, 3)
	m := l.node(1)
	n := asker(t, m)
	wal := filepath.Join(n.path(dataPath), "member/wal")
	if err := os.MkdirAll(wal, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		log  []byte // nil for none
		want string
	}{
		{"no data", nil, ""},
		{"data of this cluster", walHead(0, 5, uint64(n.line.id)), m.name + "=" + n.self.URL},
		{"data of another cluster", walHead(0, 5, 6), ""},
		{"damaged data", []byte("x"), ""},
	} {
		if err := n.place(n.self.Name+"="+n.self.URL+",b=https://10.0.0.2:2380", stateNew); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(wal, "0-0.wal")
		os.Remove(path)
		if tc.log != nil {
			if err := os.WriteFile(path, tc.log, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := Guard(Options{Root: m.root}); err != nil {
			t.Fatal(err)
		}
		if got, err := n.placed(); err != nil || got != tc.want {
			t.Errorf("%s: the manifest starts %q, %v, want %q", tc.name, got, err, tc.want)
		}
	}
}
