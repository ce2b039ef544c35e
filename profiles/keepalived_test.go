package profiles

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// TestKeepalivedIsAccepted asks keepalived itself about every node that may hold
// an address. It refuses a script that does not exist, so the helper is
// replaced by a program that does.
func TestKeepalivedIsAccepted(t *testing.T) {
	keepalived := testtool.Path(t, "keepalived")
	testtool.Root(t)
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		for _, n := range p.NodesOf(role) {
			doc := nodeDocument(t, p, n.Name)
			floats := role == "master" && p.Endpoint.Mode == "vip" || role == "proxy" && roleOf(p, role).PublicIP != ""
			path := keepalivedDir + "/keepalived.conf"
			if !floats {
				for _, f := range doc.Files {
					if f.Path == path {
						t.Errorf("%s has a floating address", n.Name)
					}
				}
				continue
			}
			conf := strings.ReplaceAll(contents(t, doc, path), "/usr/bin/imgforge-node", "/bin/true")
			out, err := exec.Command(keepalived, "--config-test", "--use-file", scratch(t, "keepalived.conf", conf)).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%s: %v\n%s", n.Name, err, out)
			}
		}
	})
}

// TestKeepalivedPeers: every slot knows all others of its role, and no two agree
// about who comes first.
func TestKeepalivedPeers(t *testing.T) {
	p := example(t, "scaleway-ha")
	for _, role := range []string{"master", "proxy"} {
		sc, err := newScope(p, role, newSecrets())
		if err != nil {
			t.Fatal(err)
		}
		priorities := map[int]string{}
		for _, n := range p.NodesOf(role) {
			conf := newKeepalived(sc, n)
			if len(conf.Peers) != len(p.NodesOf(role))-1 || strings.Contains(strings.Join(conf.Peers, " ")+" ", n.Address+" ") {
				t.Errorf("%s (%s) has peers %v", n.Name, n.Address, conf.Peers)
			}
			if other := priorities[conf.Priority]; other != "" {
				t.Errorf("%s and %s have priority %d", n.Name, other, conf.Priority)
			}
			priorities[conf.Priority] = n.Name
		}
	}
}

func roleOf(p *plan.Plan, name string) plan.Role {
	r, _ := p.Role(name)
	return r
}
