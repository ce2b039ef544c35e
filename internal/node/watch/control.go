package watch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/node/leaf"
)

const apiServer = "kube-apiserver"

// askTimeout is what a healthy program on the same machine needs many times over.
const askTimeout = 4 * time.Second

// newHTTP is a client that goes where it is told: no proxy, no redirect. Without a
// pool it believes anybody, for programs on this machine that make their own
// certificates and are only asked whether they live.
func newHTTP(pool *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: askTimeout,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, InsecureSkipVerify: pool == nil},
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 2 * time.Minute, TLSHandshakeTimeout: askTimeout},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask is one request; the body is cut at a size that any answer fits in.
func ask(ctx context.Context, c *http.Client, url string) (status int, body []byte, err error) {
	status, body, _, err = askHead(ctx, c, url)
	return status, body, err
}

// askHead is ask, with the head of the answer.
func askHead(ctx context.Context, c *http.Client, url string) (status int, body []byte, head http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Accept", "application/json, */*")
	resp, err := c.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, body, resp.Header, err
}

// lookKubelet asks the kubelet, and its journal when it is not well.
func (l *looker) lookKubelet(ctx context.Context) Kubelet {
	status, body, err := ask(ctx, l.open, fmt.Sprintf("http://127.0.0.1:%d/healthz", l.o.Ports.Kubelet))
	switch {
	case err == nil && status == http.StatusOK:
		return Kubelet{Healthy: true}
	case err == nil:
		return Kubelet{Why: fmt.Sprintf("it answers %d: %s%s", status, plain(string(body)), after("\n", l.kubelet.of(ctx, l.o, "kubelet.service")))}
	}
	why := l.kubelet.of(ctx, l.o, "kubelet.service")
	if why == "" {
		why = brief(err)
	}
	return Kubelet{Why: why}
}

// part is where a static pod of the control plane says how it is.
type part struct {
	name, path string
	port       int
	tls        bool
}

// lookParts asks the control plane of a master, all parts at once.
func (l *looker) lookParts(ctx context.Context) []Part {
	if l.node.Role != master {
		return nil
	}
	p := l.o.Ports
	parts := []part{
		{"etcd", "/livez", p.Etcd, false}, // its quorum is a matter of the step etcd
		{apiServer, "/readyz", l.node.APIServerPort, true},
		{"kube-controller-manager", "/healthz", p.ControllerManager, true},
		{"kube-scheduler", "/livez", p.Scheduler, true},
	}
	out := make([]Part, len(parts))
	done := make(chan bool)
	for i, part := range parts {
		go func() {
			out[i] = l.askPart(ctx, part)
			done <- true
		}()
	}
	for range parts {
		<-done
	}
	return out
}

// lookHAProxy asks haproxy on nodes that have its manifest.
func (l *looker) lookHAProxy(ctx context.Context) *Part {
	if contents(l.o.Root, "/etc/kubernetes/manifests/haproxy.yaml") == nil {
		return nil
	}
	p := l.askPart(ctx, part{"haproxy", "/healthz", l.o.Ports.HAProxy, false})
	return &p
}

func (l *looker) askPart(ctx context.Context, p part) Part {
	scheme, client := "http", l.open
	if p.tls {
		scheme = "https"
	}
	if p.name == apiServer {
		client = l.local
	}
	status, body, err := ask(ctx, client, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, p.port, p.path))
	out := Part{Name: p.name, Answers: err == nil, Ready: err == nil && status == http.StatusOK}
	switch {
	case err != nil:
		out.Why = brief(reason(err))
	case !out.Ready:
		out.Why = failing(status, string(body))
	}
	if !out.Ready {
		out.Says = lastError(podLog(l.o.Root, p.name))
	}
	return out
}

// failing names the checks that fail in the answer of a health check.
func failing(status int, body string) string {
	var bad []string
	for line := range strings.Lines(body) {
		if name, ok := strings.CutPrefix(line, "[-]"); ok {
			bad = append(bad, strings.TrimSpace(strings.ReplaceAll(name, ": reason withheld", "")))
		}
	}
	if bad == nil {
		bad = []string{plain(body)}
	}
	slices.Sort(bad)
	return fmt.Sprintf("it answers %d: %s", status, strings.Join(slices.Compact(bad), ", "))
}

// reason is the innermost error that still says what was asked: the URL of a request
// is said already.
func reason(err error) error {
	for inner := errors.Unwrap(err); inner != nil && strings.Contains(err.Error(), "http"); inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// apiClient asks the cluster's API about this node, as this node's kubelet.
type apiClient struct {
	root  string
	http  *http.Client
	files string // sizes and times of what the client was made of

	now    func() time.Time
	rivals rivals
	seen   string // the version of the Node that was learned last
}

func newAPIClient(o Options) apiClient {
	a := apiClient{root: o.Root, now: o.Now}
	a.rivals.machine, a.rivals.boot = ownIDs(o.Root)
	return a
}

// look asks about the node. What is known of another machine that is this node too
// stays known while the API does not answer.
func (a *apiClient) look(ctx context.Context, url, node string) API {
	out := a.ask(ctx, url, node)
	out.Twin = a.rivals.words(a.now())
	return out
}

func (a *apiClient) ask(ctx context.Context, url, node string) API {
	client, err := a.client()
	if err != nil {
		return API{Why: brief(err)}
	}
	status, body, head, err := askHead(ctx, client, url+"/api/v1/nodes/"+node)
	if err != nil {
		var unknown x509.UnknownAuthorityError
		var name x509.HostnameError
		return API{Why: brief(reason(err)), Foreign: errors.As(err, &unknown) || errors.As(err, &name)}
	}
	out := API{Status: status}
	if date, err := http.ParseTime(head.Get("Date")); err == nil {
		out.Clock = date
	}
	if status != http.StatusOK {
		var answer struct{ Message string }
		if json.Unmarshal(body, &answer) != nil || answer.Message == "" {
			answer.Message = string(body)
		}
		out.Why = plain(answer.Message)
		return out
	}
	out.Ready, out.Message = ready(body)
	a.learn(ctx, client, url, node, body)
	return out
}

// ready reads the node's own condition.
func ready(body []byte) (ready bool, message string) {
	var n struct {
		Status struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
	if err := json.Unmarshal(body, &n); err != nil {
		return false, "the API's answer cannot be read: " + err.Error()
	}
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True", plain(c.Reason + ": " + c.Message)
		}
	}
	return false, "the kubelet has not said how it is yet"
}

// client is made again when the kubelet renews its certificate.
func (a *apiClient) client() (*http.Client, error) {
	cert, key := filepath.Join(a.root, leaf.Current), filepath.Join(a.root, leaf.Current)
	if _, err := os.Stat(cert); err != nil {
		cert, key = filepath.Join(a.root, leaf.KubeletPath+".crt"), filepath.Join(a.root, leaf.KubeletPath+".key")
	}
	info, err := os.Stat(cert)
	if err != nil {
		return nil, err
	}
	files := fmt.Sprint(cert, info.Size(), info.ModTime())
	if a.http != nil && a.files == files {
		return a.http, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(filepath.Join(a.root, leaf.CAPath))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	if a.http != nil {
		a.http.CloseIdleConnections()
	}
	a.http, a.files = newHTTP(pool), files
	a.http.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{pair}
	return a.http, nil
}
