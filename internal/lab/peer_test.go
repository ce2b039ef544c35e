package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// kubeadm itself takes what the lab writes for it, secrets included, and nothing that is misspelt.
func TestPeerConfigs(t *testing.T) {
	kubeadm := testtool.Path(t, "kubeadm")
	validate := func(text string) error {
		file := filepath.Join(t.TempDir(), "kubeadm.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), kubeadm, "config", "validate", "--config", file).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	c := examplePeer(t)
	configs := c.configs()
	if len(configs) != 3 {
		t.Fatalf("%d configurations, want those of the first master, another one and another node", len(configs))
	}
	for _, text := range configs {
		text = strings.NewReplacer("TOKEN", c.token, "KEY", c.key).Replace(text)
		if err := validate(text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		if err := validate(strings.Replace(text, "criSocket", "criSockets", 1)); err == nil {
			t.Error("kubeadm takes a misspelt field")
		}
	}
}

func examplePeer(t *testing.T) *peerCluster {
	t.Helper()
	trial := &Trial{Plan: &plan.Plan{Kubernetes: plan.Kubernetes{Version: "1.36.3", PodCIDR: "10.244.0.0/16", ServiceCIDR: "10.96.0.0/12", ProxyMode: "nftables"}}}
	c := &peerCluster{trial: trial, balancer: &balancer{at: netip.MustParseAddrPort("10.99.0.254:6443")}}
	for i, name := range []string{"master-1", "master-2", "worker-1", "worker-2"} {
		c.members = append(c.members, peerMember{name: name, master: i < 2, address: peerAddress(i)})
	}
	var err error
	if c.token, c.key, err = peerSecrets(); err != nil {
		t.Fatal(err)
	}
	return c
}

// The first line of each phase is kept, however the output comes in parts.
func TestPhaseLines(t *testing.T) {
	p := &phaseLines{since: time.Now(), hide: strings.NewReplacer("s3cret", "TOKEN")}
	for _, part := range []string{"[preflight] Running\n\t[WARNING x]: no\n[pre", "flight] Pulling\n[certs] Using s3c", "ret\nplain\n[certs] more\n", "[preflight] again\n[unfinished] "} {
		fmt.Fprint(p, part)
	}
	var got []string
	for _, s := range p.said {
		got = append(got, s.Text)
	}
	if text := strings.Join(got, "; "); text != "[preflight] Running; [certs] Using TOKEN; [preflight] again" {
		t.Errorf("kept: %s", text)
	}
}

// Connections go to servers that say that they are ready, in turn, and to no other.
func TestBalancer(t *testing.T) {
	var backends []netip.AddrPort
	for i, status := range []int{http.StatusOK, http.StatusInternalServerError, http.StatusOK} {
		s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/readyz" {
				w.WriteHeader(status)
				return
			}
			fmt.Fprintln(w, i)
		}))
		t.Cleanup(s.Close)
		backends = append(backends, netip.MustParseAddrPort(s.Listener.Addr().String()))
	}
	b, err := (&Network{}).balance(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"), backends)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.end() })
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	seen := map[string]int{}
	for len(seen) < 2 || seen["0"]+seen["2"] < 6 {
		reply, err := client.Get("https://" + b.listener.Addr().(*net.TCPAddr).String())
		if err != nil {
			continue // none is known to be ready yet
		}
		line, err := bufio.NewReader(reply.Body).ReadString('\n')
		reply.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		seen[strings.TrimSpace(line)]++
	}
	if seen["1"] != 0 {
		t.Errorf("connections went to a server that is not ready: %v", seen)
	}
}

// A program that is copied twice to one place is as it was.
func TestCopyTwice(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	if err := os.WriteFile(from, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := copyFile(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{from, to} {
		if data, err := os.ReadFile(path); err != nil || string(data) != "program" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}

// The comparison for people is a golden text: every command in it, in the order of time.
func TestPeerMarkdown(t *testing.T) {
	p := &Peer{Masters: 2, Others: 1, Own: 20, Load: Load{Nodes: 30, Lab: 1, Others: 2, Of: 40}, Configs: []string{"kind: InitConfiguration\n", "kind: JoinConfiguration\n"},
		Clusters: []PeerCluster{
			{How: "init, join", Seconds: 50, Ratio: 0.4, Load: Load{Nodes: 50, Others: 3, Of: 100}, Commands: []PeerCommand{
				{Node: "peer-b", Text: "kubeadm join", Begun: 9.04, Ended: 30, Said: []Moment{{9.5, "[preflight] Running | checks"}}},
				{Node: "peer-a", Text: "kubeadm init", Begun: 2, Ended: 9}}},
			{How: "all at once", Seconds: 35, Ratio: 4.0 / 7, Load: Load{Nodes: 40, Others: 20, Of: 70}},
		}}
	r := &Report{Topologies: []*Outcome{{Topology: "one", Peer: p}}}
	m := &markdown{}
	m.peer(nil)
	if m.Len() > 0 {
		t.Errorf("without a comparison there is nothing to say: %s", m.String())
	}
	m.peer(p)
	text := m.String() + "\n" + strings.Join(r.Summary(), "\n") + "\n"
	golden := filepath.Join("testdata", "peer.md")
	if *update {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", text, want)
	}
}
