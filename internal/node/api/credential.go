package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Where a node keeps what it shows and what it trusts.
const (
	authorityPath = "/etc/kubernetes/pki/ca.crt"
	leafPath      = "/etc/kubernetes/pki/admin.crt"
	keyPath       = "/etc/kubernetes/pki/admin.key"
	// The kubelet's: what it renews by itself, and until then what the claim wrote.
	currentPath = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	kubeletPath = "/etc/kubernetes/pki/kubelet"
)

// files are the authority, the leaf and its key that this client uses now.
func (c *Client) files() [3]string {
	leaf, key := leafPath, keyPath
	if c.kubelet {
		leaf, key = currentPath, currentPath
		if _, err := os.Stat(filepath.Join(c.root, leaf)); err != nil {
			leaf, key = kubeletPath+".crt", kubeletPath+".key"
		}
	}
	return [3]string{authorityPath, leaf, key}
}

// stamp tells whether a file was replaced.
type stamp struct {
	size int64
	time time.Time
}

// stamps are those of the files that a transport was made of.
type stamps [3]stamp

func (c *Client) stamps() (s stamps, err error) {
	for i, path := range c.files() {
		info, err := os.Stat(filepath.Join(c.root, path))
		if err != nil {
			return stamps{}, err
		}
		s[i] = stamp{info.Size(), info.ModTime()}
	}
	return s, nil
}

// current returns the HTTP client for the files as they are now. A connection shows
// the leaf that it was opened with for as long as it lives, so a new leaf gets
// connections of its own.
func (c *Client) current() (*http.Client, error) {
	now, err := c.stamps()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil && now == c.made {
		return c.http, nil
	}
	transport, err := c.transport()
	if err != nil {
		if c.http != nil { // the files are being replaced
			return c.http, nil
		}
		return nil, err
	}
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.http, c.made = &http.Client{Transport: transport, CheckRedirect: never}, now
	return c.http, nil
}

// never keeps the client on this node's API server.
func never(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c *Client) transport() (*http.Transport, error) {
	files := c.files()
	pem, err := os.ReadFile(filepath.Join(c.root, files[0]))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", files[0])
	}
	leaf, err := tls.LoadX509KeyPair(filepath.Join(c.root, files[1]), filepath.Join(c.root, files[2]))
	if err != nil {
		return nil, fmt.Errorf("read the leaf that this node shows the API server: %w", err)
	}
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{leaf}, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    callTimeout,
		MaxIdleConnsPerHost:    4,
		IdleConnTimeout:        time.Minute,
		MaxResponseHeaderBytes: 64 << 10,
	}, nil
}

// Strange tells whether this node does not trust who answers on the API server's
// port: no waiting helps.
func Strange(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}
