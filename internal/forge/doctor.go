package forge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/pki"
)

// DoctorOptions choose which nodes are asked for their status.
type DoctorOptions struct {
	Source Source
	Nodes  []string
	All    bool // every node that is not in reserve
	// Address is where to dial a single node: HOST[:PORT]; "" is its address in the cluster network.
	Address string
}

// NodeReport is what one node answered, or why it did not.
type NodeReport struct {
	Node    string               `json:"node"`
	Address string               `json:"address"`
	Status  *artifact.StatusFile `json:"status,omitempty"`
	// Problem says why there is no status, Check what to look at then.
	Problem string `json:"problem,omitempty"`
	Check   string `json:"check,omitempty"`
	// Skew is how far the node's clock is ahead of this one.
	Skew time.Duration `json:"-"`
}

const (
	doctorLeaf    = 10 * time.Minute // nothing can revoke it, and one run is short
	doctorWait    = 10 * time.Second // for one node
	maxStatusFile = 1 << 20          // bytes; a status has some thousand
)

// Doctor asks nodes for their status, all at once, with a certificate that reads
// it and nothing else and that lives in memory alone. It needs the authority identity.
func (a *App) Doctor(ctx context.Context, o DoctorOptions) ([]NodeReport, error) {
	c, st, err := a.openStore(o.Source)
	if err != nil {
		return nil, err
	}
	nodes, err := c.patients(o)
	if err != nil {
		return nil, err
	}
	trust, err := a.statusTrust(st)
	if err != nil {
		return nil, err
	}
	out := make([]NodeReport, len(nodes))
	var asked sync.WaitGroup
	for i, n := range nodes {
		asked.Go(func() { out[i] = a.examine(ctx, c.plan, n, address(n, o.Address), trust) })
	}
	asked.Wait()
	return out, ctx.Err()
}

// patients are the nodes that the options name, in the order of the plan.
func (c *cluster) patients(o DoctorOptions) ([]plan.Node, error) {
	for _, name := range o.Nodes {
		if !slices.ContainsFunc(c.plan.Nodes, func(n plan.Node) bool { return n.Name == name }) {
			return nil, invalidAt(c, "roles", fmt.Sprintf("there is no node %q", name), "name one that `imgforge plan` lists")
		}
	}
	out := slices.DeleteFunc(slices.Clone(c.plan.Nodes), func(n plan.Node) bool {
		return !slices.Contains(o.Nodes, n.Name) && (!o.All || n.Reserved)
	})
	if o.Address != "" && len(out) != 1 {
		return nil, invalid("", fmt.Sprintf("one address is not that of %d nodes", len(out)), "write --address with a single --node")
	}
	if o.Address != "" && !dialable(address(out[0], o.Address)) {
		return nil, invalid("", fmt.Sprintf("%q is no address to dial", o.Address), "write --address HOST, or HOST:PORT with a port from 1 to 65535")
	}
	return out, nil
}

// dialable tells an address from what no network could make one of: with that, it
// would be the node that seems to be at fault.
func dialable(at string) bool {
	host, port, err := net.SplitHostPort(at)
	if err != nil || host == "" {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return false
	}
	_, err = netip.ParseAddr(host)
	return err == nil || !strings.ContainsAny(host, ":/?#@ ")
}

// address is where the status of a node is served.
func address(n plan.Node, other string) string {
	if other == "" {
		other = n.Address
	}
	if _, _, err := net.SplitHostPort(other); err == nil {
		return other
	}
	return net.JoinHostPort(strings.Trim(other, "[]"), strconv.Itoa(artifact.StatusPort))
}

// statusTrust is who this program is, and whose servers it believes.
func (a *App) statusTrust(st *pki.Store) (*tls.Config, error) {
	cert, key, err := st.KubeconfigLeaf("imgforge-doctor", artifact.StatusReaders, doctorLeaf)
	if err != nil {
		return nil, err
	}
	own, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate that was just issued: %w", err)
	}
	authority, err := st.Authority(pki.Kubernetes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New("the kubernetes authority of the store holds no certificate")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, RootCAs: pool, Time: a.Now}, nil
}

// examine asks one node.
func (a *App) examine(ctx context.Context, p *plan.Plan, n plan.Node, at string, trust *tls.Config) NodeReport {
	ctx, cancel := context.WithTimeout(ctx, doctorWait)
	defer cancel()
	r := NodeReport{Node: n.Name, Address: at}
	trust = trust.Clone()
	trust.ServerName = n.Name
	s, err := readStatus(ctx, at, trust)
	if err == nil && (s.Node != n.Name || s.Cluster != p.Cluster) {
		err = fmt.Errorf("it says that it is %s of cluster %s", s.Node, s.Cluster)
	}
	if err != nil {
		r.Problem, r.Check = err.Error(), advice(p, err)
		return r
	}
	r.Status, r.Skew = &s, s.Time.Sub(a.Now()).Round(time.Second)
	return r
}

// readStatus fetches a status page. No proxy stands between: the address is one
// of the cluster's own network, or a tunnel's end.
func readStatus(ctx context.Context, at string, trust *tls.Config) (artifact.StatusFile, error) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+at+artifact.StatusPath, nil)
	if err != nil {
		return artifact.StatusFile{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return artifact.StatusFile{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxStatusFile))
	if err != nil {
		return artifact.StatusFile{}, err
	}
	if resp.StatusCode != http.StatusOK {
		text := string(data[:min(len(data), 200)])
		return artifact.StatusFile{}, fmt.Errorf("it answers %s: %s", resp.Status, strings.Join(strings.Fields(text), " "))
	}
	return artifact.ParseStatusFile(data)
}

// advice says what to look at when a node did not answer as it should.
func advice(p *plan.Plan, err error) string {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "whether the address is this node's, and its payload from this store: what answers there has another certificate"
	}
	if _, ok := errors.AsType[*net.OpError](err); ok && strings.Contains(err.Error(), "remote error: tls") {
		return "the node's clock, and whether its payload is from this store: it refuses the certificate that was just issued"
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "the node's console: it is reachable, but imgforge-node does not serve its status yet; what it says there, `imgforge doctor FILE` decodes"
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		if p.Network.Mesh == "none" {
			return "whether the node is switched on and this machine is in " + p.Network.CIDR + "; its console says how far it came, and `imgforge doctor FILE` decodes that"
		}
		return "whether the node is switched on and this machine is in the mesh (network.operators, `imgforge mesh-config`, or --address with a tunnel); " +
			"its console says how far it came, and `imgforge doctor FILE` decodes that"
	}
	return "whether the node runs the imgforge-node that belongs to this imgforge"
}
