package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/imgforge/imgforge/internal/node/snapshot"
)

// probePath is the one thing that a master tells the others about itself.
const probePath = "/v1/etcd"

// answer is what a master says of itself. It is made when it is asked for, from the
// disk as it is then, and carries the asker's nonce: nothing between the two can
// give an old one.
type answer struct {
	Nonce    string `json:"nonce"`
	Token    string `json:"token"`
	Founding ID     `json:"founding"`
	Node     string `json:"node"`
	Slot     int    `json:"slot"`
	State    string `json:"state"`
	Member   ID     `json:"member,omitempty"`
	Cluster  ID     `json:"cluster,omitempty"`
	// Restored is the hash of the snapshot that Cluster, or without data Founding,
	// comes of; Candidate means that this node has it.
	Restored  string `json:"restored,omitempty"`
	Candidate bool   `json:"candidate,omitempty"`
}

// words are the states as answers carry them.
var words = [...]struct {
	state State
	word  string
}{{Blank, "blank"}, {Willing, "willing"}, {Lost, "lost"}, {Holding, "holding"}, {Serving, "serving"}, {Broken, "broken"}, {Fetching, "fetching"}}

func (s State) word() string {
	for _, w := range words {
		if w.state == s {
			return w.word
		}
	}
	return ""
}

func stateOf(word string) State {
	for _, w := range words {
		if w.word == word {
			return w.state
		}
	}
	return Silent // nothing that this helper can take for a yes
}

// credentials are the keys of this master: its peer leaf answers, its client leaf
// asks, and both sides know etcd's authority alone. They are read once: leaves
// change with the payload, and a payload boots the machine.
func (n *node) credentials() (server, client *tls.Config, err error) {
	pem, err := os.ReadFile(n.path(pkiPath + "/ca.crt"))
	if err != nil {
		return nil, nil, fmt.Errorf("read etcd's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, nil, fmt.Errorf("%s/ca.crt holds no certificate", pkiPath)
	}
	load := func(leaf string) (tls.Certificate, error) {
		base := n.path(pkiPath + "/" + leaf)
		c, err := tls.LoadX509KeyPair(base+".crt", base+".key")
		if err != nil {
			return c, fmt.Errorf("read the leaf %s/%s: %w", pkiPath, leaf, err)
		}
		return c, nil
	}
	peer, err := load("peer")
	if err != nil {
		return nil, nil, err
	}
	own, err := load("healthcheck-client")
	if err != nil {
		return nil, nil, err
	}
	server = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{peer}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	client = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{own}, RootCAs: pool}
	return server, client, nil
}

// Client is how the master below root asks etcd and the other masters.
func Client(root string) (*tls.Config, error) {
	_, config, err := (&node{o: Options{Root: cmp.Or(root, "/")}}).credentials()
	return config, err
}

// connectWithin bounds one attempt to connect. Slots that no machine fills yet never
// answer, and every look asks them too: it must not wait for them for long.
const connectWithin = time.Second

// newHTTP is a client that goes where it is told: no proxy, no redirect.
func newHTTP(config *tls.Config, timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{TLSClientConfig: config, DialContext: (&net.Dialer{Timeout: min(timeout, connectWithin)}).DialContext,
			TLSHandshakeTimeout: timeout, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// serve answers the other masters until ctx ends. The address may come late, with
// the mesh.
func (n *node) serve(ctx context.Context, config *tls.Config) error {
	listener, err := tls.Listen("tcp", net.JoinHostPort(n.address, probePort), config)
	if err != nil {
		return fmt.Errorf("listen for the other masters: %w", err)
	}
	server := &http.Server{Handler: n.handler(), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 8 << 10, ErrorLog: quiet()}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	go server.Serve(listener) // ends with Close
	return nil
}

func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+probePath, func(w http.ResponseWriter, r *http.Request) {
		nonce := r.URL.Query().Get("nonce")
		if len(nonce) < 16 || len(nonce) > 64 {
			http.Error(w, "a nonce of 16 to 64 characters is needed", http.StatusBadRequest)
			return
		}
		me, err := n.look(r.Context(), func(own lineage) lineage { return own })
		if err != nil {
			// Who cannot say what it holds says nothing: the asker waits.
			http.Error(w, "this node cannot tell what it holds", http.StatusServiceUnavailable)
			return
		}
		a := answer{Nonce: nonce, Token: n.token, Founding: me.line.id, Node: n.self.Name, Slot: n.slot,
			State: me.state().word(), Member: me.disk.Member, Cluster: me.disk.Cluster, Restored: me.line.restored}
		if c := n.candidate.Load(); c != nil {
			a.Candidate = c.hash == me.line.restored
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(a) // an asker that went away asks again
	})
	n.offers(mux)
	snapshot.Share(mux, n.o.Root)
	return mux
}

// probe asks one master. Whoever answers has proven to be at that slot's address:
// its leaf says so.
func (n *node) probe(ctx context.Context, s Slot, address string) (answer, error) {
	var a answer
	nonce := rand.Text()
	where := "https://" + net.JoinHostPort(address, probePort) + probePath + "?nonce=" + url.QueryEscape(nonce)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where, nil)
	if err != nil {
		return a, err
	}
	asked := time.Now()
	resp, err := n.http.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	n.clocks.heard(s.Name, resp.Header.Get("Date"), asked, time.Now())
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	switch {
	case err != nil:
		return a, err
	case resp.StatusCode != http.StatusOK:
		return a, fmt.Errorf("%s answers %s", s.Name, resp.Status)
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return answer{}, fmt.Errorf("read the answer of %s: %w", s.Name, err)
	}
	switch {
	case a.Nonce != nonce:
		return answer{}, errors.New(s.Name + " gave an old answer")
	case a.Node != s.Name:
		return answer{}, fmt.Errorf("%s is at the address of %s", a.Node, s.Name)
	case a.Token != n.token:
		a.Founding = 0 // another cluster's, whatever it would found
	}
	return a, nil
}
