package lab

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
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// operator is a person at a machine of their own, outside of the cluster: a
// namespace on the wire, with a kubeconfig of `imgforge kubeconfig`.
type operator struct {
	trial      *Trial
	netns      string
	kubeconfig string // a file
	server     string // that the kubeconfig names
	roots      *x509.CertPool
	leaf       tls.Certificate
}

// operator makes the operator's machine and the kubeconfig.
func (t *Trial) operator(ctx context.Context) (*operator, error) {
	// Not by o.netns, which may become that of a node below.
	own := t.id + "-operator"
	o := &operator{trial: t, netns: own, kubeconfig: filepath.Join(t.work, "cluster", "kubeconfig")}
	t.later("network namespace "+own, func(ctx context.Context) error { return t.removeNamespace(ctx, own) })
	if _, err := t.wire.plug(ctx, own, t.operatorAddress()); err != nil {
		return nil, fmt.Errorf("make an operator's machine: %w", err)
	}
	// Through one that is inside the mesh, a node stands in for the operator's laptop.
	data, inside, err := Built{App: t.App, Source: t.Source}.kubeconfig(ctx)
	if err != nil {
		return nil, err
	}
	if len(inside) > 0 {
		o.netns = t.id + "-" + t.nodes[len(t.nodes)-1].Name
	}
	if err := os.WriteFile(o.kubeconfig, data, 0o600); err != nil {
		return nil, err
	}
	return o, o.parse(data)
}

// parse takes the kubeconfig's parts for requests of the lab itself.
func (o *operator) parse(data []byte) (err error) {
	var doc struct {
		Clusters []struct {
			Cluster struct {
				Server string `json:"server"`
				CA     []byte `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("imgforge kubeconfig: %w", err)
	}
	if len(doc.Clusters) != 1 || len(doc.Users) != 1 {
		return errors.New("imgforge kubeconfig: want one cluster and one user")
	}
	o.server, o.roots = doc.Clusters[0].Cluster.Server, x509.NewCertPool()
	o.roots.AppendCertsFromPEM(doc.Clusters[0].Cluster.CA)
	o.leaf, err = tls.X509KeyPair(doc.Users[0].User.Cert, doc.Users[0].User.Key)
	return err
}

// kubectl runs kubectl on the operator's machine.
func (o *operator) kubectl(ctx context.Context, args ...string) (string, error) {
	return o.kubectlIn(ctx, o.netns, "", args...)
}

// kubectlIn runs kubectl in a network namespace, "" for the lab's own, with standard input. Its time is
// bounded: a machine that is gone answers nothing.
func (o *operator) kubectlIn(ctx context.Context, netns, stdin string, args ...string) (string, error) {
	path, err := o.trial.Tool("kubectl")
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	command := append([]string{path, "--kubeconfig=" + o.kubeconfig, "--cache-dir=" + filepath.Join(o.trial.work, "kubectl"),
		"--request-timeout=20s"}, args...)
	if netns != "" {
		command = append([]string{"ip", "netns", "exec", netns}, command...)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	return output(cmd)
}

// through asks for a path of the API from inside a namespace, at a server, with the
// operator's certificate, and decodes the answer into out unless that is nil.
func (o *operator) through(ctx context.Context, netns, server, path string, out any) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dialler(netns), DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: o.roots, Certificates: []tls.Certificate{o.leaf}}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server+path, nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, 32<<20))
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %.200s", path, reply.Status, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// anybody is a client inside a namespace that takes whatever certificate it is shown
// and shows none.
func (o *operator) anybody(netns string) *http.Client {
	return &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: dialler(netns), DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
}

// answers is a check that a node's own port answers 200 to a path, without TLS.
func (n *Node) answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DialContext: dialler(n.netns), DisableKeepAlives: true}}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		reply, err := client.Do(request)
		if err != nil {
			return err
		}
		reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s: %s", url, reply.Status)
		}
		return nil
	}
}
