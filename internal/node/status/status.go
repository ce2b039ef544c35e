// Package status serves what a node tells of itself, to operators alone: over TLS
// with client certificates, inside the cluster network, read-only and without secrets.
package status

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options say which node the status is of.
type Options struct {
	Root    string // "/" on a node
	Report  step.Reporter
	Version string // of the helper
	Now     func() time.Time
}

// readers are the groups whose certificates may read the status: that of the
// doctor, those of the kubeconfigs that imgforge issues, and of the admin leaf on masters. Everybody
// else whom the same authority knows, kubelets above all, may not.
func readers() []string {
	return []string{artifact.StatusReaders, "kubeadm:cluster-admins", "system:masters"}
}

const (
	maxConnections = 16
	patience       = 5 * time.Second  // for a caller to shake hands and ask
	bindPause      = 2 * time.Second  // until the mesh brings the address
	idle           = 30 * time.Second // a connection may wait for its next request
)

// Run serves the status until ctx ends.
func Run(ctx context.Context, o Options) error {
	p, err := open(o)
	if err != nil {
		return err
	}
	config, err := credentials(o.Root)
	if err != nil {
		return err
	}
	l, err := listen(ctx, net.JoinHostPort(p.node.Address, strconv.Itoa(artifact.StatusPort)))
	if err != nil || l == nil {
		return err
	}
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: patience, ReadTimeout: patience, WriteTimeout: 2 * patience, IdleTimeout: idle,
		MaxHeaderBytes: 8 << 10, ErrorLog: log.New(io.Discard, "", 0)} // strangers must not fill the journal
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	err = server.Serve(tls.NewListener(limited(l), config))
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// open reads who this node is.
func open(o Options) (*page, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &page{o: o}
	var err error
	if p.node, err = artifact.ReadNodeFile(o.Root); err == nil {
		p.cluster, err = artifact.ReadClusterFile(o.Root)
	}
	if err != nil {
		return nil, bootcode.Fail(bootcode.NodeUnread, "%v", err)
	}
	return p, nil
}

// credentials are the node's own leaf, and the authority that callers belong to. What
// is wrong with a leaf is the watch's word: two that say it would take turns.
func credentials(root string) (*tls.Config, error) {
	base := filepath.Join(root, leaf.StatusPath)
	own, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		return nil, fmt.Errorf("the status page's own leaf: %w", err)
	}
	pem, err := os.ReadFile(filepath.Join(root, leaf.CAPath))
	if err != nil {
		return nil, fmt.Errorf("the authority of those who may read the status: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", leaf.CAPath)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool,
		// A resumed session would outlive the certificate that it began with.
		SessionTicketsDisabled: true, NextProtos: []string{"http/1.1"}}, nil
}

// listen tries until the node has its address; nil when ctx ends first.
func listen(ctx context.Context, address string) (net.Listener, error) {
	for {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRNOTAVAIL) && ctx.Err() == nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(bindPause):
		}
	}
}

// handler answers readers, with GET and HEAD alone.
func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+artifact.StatusTextPath+"{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		io.WriteString(w, text(p.now())) // a reader that went away asks again
	})
	mux.HandleFunc("GET "+artifact.StatusPath, func(w http.ResponseWriter, _ *http.Request) {
		data, err := artifact.EncodeStatusFile(p.now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write(data)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if !mayRead(r.TLS) {
			http.Error(w, "this certificate may not read the status: take one that `imgforge kubeconfig` or `imgforge doctor` issues", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// mayRead tells whether the verified certificate of a caller names a reader.
func mayRead(state *tls.ConnectionState) bool {
	if state == nil || len(state.VerifiedChains) == 0 {
		return false
	}
	return slices.ContainsFunc(state.VerifiedChains[0][0].Subject.Organization, func(o string) bool { return slices.Contains(readers(), o) })
}

// limited lets no more than a few callers in at once: those that have not shown a
// certificate yet cost memory too.
func limited(l net.Listener) net.Listener {
	return &limit{Listener: l, free: make(chan struct{}, maxConnections)}
}

type limit struct {
	net.Listener
	free chan struct{}
}

// Accept turns away who comes when the house is full.
func (l *limit) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &counted{Conn: c, done: func() { <-l.free }}, nil
		default:
			c.Close()
		}
	}
}

// counted gives its place back once, however often it is closed.
type counted struct {
	net.Conn
	done func()
	once sync.Once
}

// Close is that of [net.Conn].
func (c *counted) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.done)
	return err
}
