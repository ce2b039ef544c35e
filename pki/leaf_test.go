package pki

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// What CFSSL signs without a word must be refused here.
func TestRefusedRequests(t *testing.T) {
	tests := []struct {
		name   string
		change func(*plan.Certificate)
		want   string
	}{
		{"a profile with a typo", func(c *plan.Certificate) { c.Profile = "servr" },
			`certificate master-1/apiserver: profile "servr" is not known: it must be server, client or peer`},
		{"outliving the authority", func(c *plan.Certificate) { c.Days = 101 },
			`certificate master-1/apiserver: it would end on 2031-08-13, after its authority kubernetes, which ends on 2031-08-12: set pki.leafDays to at most 100`},
		{"an unknown authority", func(c *plan.Certificate) { c.Authority = "kubernets" },
			`certificate master-1/apiserver: authority "kubernets" is not known: it must be one of etcd, front-proxy, kubelet-signer, kubernetes`},
		{"no lifetime", func(c *plan.Certificate) { c.Days = 0 },
			`certificate master-1/apiserver: it would end before it begins: its lifetime must be at least a day`},
		{"no names", func(c *plan.Certificate) { c.DNS, c.IPs = nil, nil },
			`certificate master-1/apiserver: a server certificate needs at least one name or address`},
		{"no subject", func(c *plan.Certificate) { c.CN = "" },
			`certificate master-1/apiserver: it has no common name`},
		{"a name that is a mail address", func(c *plan.Certificate) { c.DNS = []string{"ops@example.org"} },
			`certificate master-1/apiserver is not what was asked for: names changed: +ops@example.org`},
		{"an ID that leaves the store", func(c *plan.Certificate) { c.ID = "../apiserver" },
			`"../apiserver" cannot be kept in a store: names are of a-z, 0-9 and -, and no node is called user or operator`},
		{"an ID that is taken", func(c *plan.Certificate) { c.ID = "master-1/kubelet" },
			`plan of cluster nostromo: master-1/kubelet is asked for twice, or a node has the name of something else in the store`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := cluster(1, 0)
			for i := range p.Certificates {
				p.Certificates[i].Days = 100
			}
			tt.change(&p.Certificates[0])
			dir := filepath.Join(t.TempDir(), "store")
			_, _, err := Init(context.Background(), dir, p, Options{Identities: identities(t), AuthorityDays: 100, Now: func() time.Time { return noon }})
			if err == nil || err.Error() != tt.want {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
			if exists(filepath.Join(dir, indexName)) {
				t.Error("a store was made all the same")
			}
		})
	}
}

// A leaf may end with its authority, to the second.
func TestLeafEndingWithItsAuthority(t *testing.T) {
	p := cluster(1, 0)
	for i := range p.Certificates {
		p.Certificates[i].Days = 100
	}
	s := made(t, p, Options{AuthorityDays: 100})
	if missing, err := s.Missing(p); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
}

func TestKubeconfigLeaf(t *testing.T) {
	s := made(t, cluster(1, 0), Options{})
	before := tree(t, s.Dir())
	certPEM, keyPEM, err := s.KubeconfigLeaf("ana", "kubeadm:cluster-admins", 12*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := decodeCertificate(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	if got := cert.Subject.String(); got != "CN=ana,O=kubeadm:cluster-admins" {
		t.Errorf("subject %s", got)
	}
	if got := cert.NotAfter.Sub(noon); got != 12*time.Hour {
		t.Errorf("it lasts %s", got)
	}
	if key, err := decodeKey(keyPEM); err != nil || !belongs(key, cert) {
		t.Errorf("key: %v", err)
	}
	if d := diff(before, tree(t, s.Dir())); len(d) > 0 {
		t.Errorf("stored: %v", d)
	}
	_, _, err = reopen(t, s, Identities{Leaf: s.ids.Leaf}).KubeconfigLeaf("ana", "kubeadm:cluster-admins", time.Hour)
	if err == nil || !strings.Contains(err.Error(), "authority identity") {
		t.Errorf("without the authority identity: %v", err)
	}
}
