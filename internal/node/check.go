package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// checkTimeout bounds a whole check. keepalived asks every 2 s, and an address
// must move within seconds: half of that interval is what an answer may take.
const checkTimeout = time.Second

const caFile = "/etc/kubernetes/pki/ca.crt"

// Check is what keepalived asks before a node may hold the floating address.
type Check struct {
	Root      string // holds the CA file
	Config    string // node.json
	AlivePort int    // of haproxy
}

// Endpoint succeeds when this node reaches a ready API: its own API server, or
// one behind its haproxy. Either is enough, because haproxy serves clients also
// while the local API server is down.
func (c Check) Endpoint(ctx context.Context) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	file := host{root: c.Root}.path(caFile)
	pem, err := os.ReadFile(file)
	if err != nil {
		return bootcode.Fail(bootcode.CheckUnable, "%v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return bootcode.Fail(bootcode.CheckUnable, "%s holds no certificate", file)
	}
	var urls []string
	for _, port := range []int{n.APIServerPort, n.Endpoint.Port} {
		if port != 0 {
			urls = append(urls, "https://"+net.JoinHostPort("127.0.0.1", strconv.Itoa(port))+"/readyz")
		}
	}
	why := anyAnswers(ctx, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, urls)
	if why != "" {
		return bootcode.Fail(bootcode.EndpointDown, "%s", why)
	}
	return nil
}

// Proxy succeeds when haproxy of this node answers.
func (c Check) Proxy(ctx context.Context) error {
	if _, err := c.node(); err != nil {
		return err
	}
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(c.AlivePort)) + "/healthz"
	if why := anyAnswers(ctx, nil, []string{url}); why != "" {
		return bootcode.Fail(bootcode.ProxyDown, "%s", why)
	}
	return nil
}

func (c Check) node() (artifact.NodeFile, error) {
	data, err := os.ReadFile(c.Config)
	if err != nil {
		return artifact.NodeFile{}, bootcode.Fail(bootcode.CheckUnable, "%v", err)
	}
	n, err := artifact.ParseNodeFile(data)
	if err != nil {
		return artifact.NodeFile{}, bootcode.Fail(bootcode.CheckUnable, "%s: %v", c.Config, err)
	}
	return n, nil
}

// anyAnswers asks all at once and is "" as soon as one answers 200; else it says
// what each answered, in their order.
func anyAnswers(ctx context.Context, trust *tls.Config, urls []string) string {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	// The proxy of the environment must not stand between a node and itself.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trust, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	type answer struct {
		at  int
		why string
	}
	answers := make(chan answer, len(urls))
	for i, url := range urls {
		go func() { answers <- answer{i, ask(ctx, client, url)} }()
	}
	whys := make([]string, len(urls))
	for range urls {
		a := <-answers
		if a.why == "" {
			return ""
		}
		whys[a.at] = a.why
	}
	if len(whys) == 0 {
		return "there is nothing to ask: no port is configured"
	}
	return strings.Join(whys, "\n")
}

func ask(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK {
		return ""
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 200)) // only to quote it
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", url, resp.Status, strings.Join(strings.Fields(string(body)), " ")))
}
