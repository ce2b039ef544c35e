package pki

import (
	"bytes"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
)

// The format that lives in people's git repositories.
const indexText = `{
  "version": 1,
  "cluster": "nostromo",
  "origin": "0123456789abcdef",
  "algorithm": "ecdsa-256",
  "recipients": {
    "authorities": [
      "AUTHORITY"
    ],
    "leaves": [
      "LEAF"
    ]
  },
  "anchors": {
    "master": {
      "count": 3,
      "reserve": 2,
      "founding": 3
    }
  },
  "authorities": [
    {"id":"etcd","kind":"authority","generation":1,"public":"aa","sealed":600},
    {"id":"front-proxy","kind":"authority","generation":1,"public":"bb","sealed":600},
    {"id":"kubelet-signer","kind":"authority","generation":1,"public":"cc","sealed":600},
    {"id":"kubernetes","kind":"authority","generation":1,"public":"dd","sealed":600}
  ],
  "entries": [
    {"id":"encryption","kind":"random32","role":"master","generation":1,"sealed":400},
    {"id":"master-1/apiserver","kind":"certificate","role":"master","node":"master-1","generation":3,"public":"ee","sealed":600},
    {"id":"operator/ana/tinc-rsa","kind":"tinc-rsa","generation":1,"public":"ff","sealed":2000},
    {"id":"user/password","kind":"user","generation":2,"sealed":300},
    {"id":"worker-9/kubelet","kind":"certificate","role":"worker","node":"worker-9","generation":1,"public":"00","sealed":600,"unused":true}
  ]
}
`

func sample(t *testing.T) string {
	t.Helper()
	_, leaf := text(t)
	_, authority := text(t)
	return strings.NewReplacer("AUTHORITY", authority, "LEAF", leaf).Replace(indexText)
}

func TestIndexFormat(t *testing.T) {
	want := sample(t)
	x, err := decodeIndex([]byte(want))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := x.encode(&got); err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("written back as\n%s", got.String())
	}
	files := `authorities/etcd.crt authorities/etcd.key.age authorities/front-proxy.crt authorities/front-proxy.key.age authorities/kubelet-signer.crt ` +
		`authorities/kubelet-signer.key.age authorities/kubernetes.crt authorities/kubernetes.key.age cluster/encryption.age nodes/master-1/apiserver.3.crt ` +
		`nodes/master-1/apiserver.3.key.age nodes/worker-9/kubelet.crt nodes/worker-9/kubelet.key.age operators/ana/tinc-rsa.key.age operators/ana/tinc-rsa.pub ` +
		`secrets/password.2.age store.json`
	var names []string
	for name := range x.files() {
		names = append(names, name)
	}
	if got := strings.Join(sorted(names), " "); got != files {
		t.Errorf("files\n%s\nwant\n%s", got, files)
	}
	for _, name := range names {
		if name != indexName && !ours(name) {
			t.Errorf("%s is not taken for a file of a store", name)
		}
	}
}

func TestJournalCannotReachElsewhere(t *testing.T) {
	for _, name := range []string{"store.json", "../x/y", "/etc/passwd", "nodes/../../x", "nodes/a/../../../x", ".git/config", "nodes", "", "cluster//x", "home/x"} {
		if ours(name) {
			t.Errorf("a journal may remove %q", name)
		}
	}
}

// Whatever decodes can be written again, and names no file outside the store.
func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(strings.NewReplacer("AUTHORITY", "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",
		"LEAF", "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj").Replace(indexText)))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := decodeIndex(data)
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := x.encode(&b); err != nil {
			t.Fatal(err)
		}
		if _, err := decodeIndex(b.Bytes()); err != nil {
			t.Errorf("what was written cannot be read: %v", err)
		}
		for name := range x.files() {
			if name != indexName && !ours(name) {
				t.Errorf("it names %q", name)
			}
		}
	})
}

func TestPlansThatCannotBeKept(t *testing.T) {
	for id, kind := range map[string]string{
		"user/kubelet":           kindCertificate,
		"operator/kubelet":       kindCertificate,
		"Master-1/kubelet":       kindCertificate,
		"master-1/kubelet.2":     kindCertificate,
		"master-1/":              kindCertificate,
		"master-1/a/b":           kindCertificate,
		"operator/../x":          "wireguard",
		"user/a/b":               kindUser,
		"user/pass word":         kindUser,
		strings.Repeat("a", 400): "random32",
	} {
		w, err := wanted(&plan.Plan{Cluster: "c", Keys: []plan.Key{{ID: id, Kind: kind}}})
		if err == nil {
			t.Errorf("%q passes: %v", id, w.ids)
		}
	}
}
