package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// certificates looks at every certificate that is served and at every one that
// lies on a node's disk. Each must chain to an authority of the store, to the one
// that is meant for it where it is served.
func (t *Trial) certificates(ctx context.Context, o *operator) (string, error) {
	store, err := t.authorities()
	if err != nil {
		return "", err
	}
	served, kept := make([]int, len(t.nodes)), make([]int, len(t.nodes))
	err = together(t.nodes, func(n *Node) (err error) {
		i := slices.Index(t.nodes, n)
		if served[i], err = t.servedBy(ctx, n, store); err != nil {
			return err
		}
		kept[i], err = keptOn(n, store)
		return err
	})
	if err != nil {
		return "", err
	}
	evidence := fmt.Sprintf("%d served, %d on disks", sum(served), sum(kept))
	if t.Plan.Addons.MetricsServer {
		signer, err := t.metricsSigner(ctx, o, store)
		if err != nil {
			return "", err
		}
		evidence += "; metrics-server is vouched for by " + signer
	}
	return evidence, nil
}

func sum(counts []int) (total int) {
	for _, c := range counts {
		total += c
	}
	return total
}

// authorities are the store's, by name, as the public part of a build has them.
func (t *Trial) authorities() (map[string]*x509.Certificate, error) {
	files, err := filepath.Glob(filepath.Join(t.Out, "public", "authorities", "*.crt"))
	if err != nil {
		return nil, err
	}
	store := map[string]*x509.Certificate{}
	for _, file := range files {
		certs, err := certificatesIn(file)
		if err != nil {
			return nil, err
		}
		store[strings.TrimSuffix(filepath.Base(file), ".crt")] = certs[0]
	}
	if len(store) == 0 {
		return nil, fmt.Errorf("%s has no authorities", t.Out)
	}
	return store, nil
}

// tlsPort is a port that speaks TLS, and the authority that signs for it.
type tlsPort struct {
	what, address string
	port          int
	authority     string
}

// tlsPorts are those of a node.
func (t *Trial) tlsPorts(n plan.Node) []tlsPort {
	out := []tlsPort{
		{"kubelet", n.Address, 10250, "kubelet-signer"},
		{"status page", n.Address, 9440, "kubernetes"},
	}
	if n.Role == plan.Master {
		out = append(out,
			tlsPort{"API server", n.Address, t.Plan.Endpoint.APIServerPort, "kubernetes"},
			tlsPort{"etcd for clients", n.Address, 2379, "etcd"},
			tlsPort{"etcd for peers", n.Address, 2380, "etcd"})
	}
	return out
}

// servedBy judges what a node serves.
func (t *Trial) servedBy(ctx context.Context, n *Node, store map[string]*x509.Certificate) (count int, err error) {
	made, _ := t.Plan.Node(n.Name)
	for _, l := range t.tlsPorts(made) {
		chain, err := n.serves(ctx, net.JoinHostPort(l.address, fmt.Sprint(l.port)))
		if err == nil {
			err = chains(chain[0], store, l.authority)
		}
		if err == nil {
			err = chain[0].VerifyHostname(l.address)
		}
		if err != nil {
			return count, fmt.Errorf("%s: %s at port %d: %w", n.Name, l.what, l.port, err)
		}
		count++
	}
	return count, nil
}

// serves is the chain that a port of the node's own shows.
func (n *Node) serves(ctx context.Context, address string) ([]*x509.Certificate, error) {
	conn, err := dialler(n.netns)(ctx, "tcp4", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return nil, err
	}
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // what it shows is judged by its reader
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return client.ConnectionState().PeerCertificates, nil
}

// chains tells whether one of the named authorities (any of the store, when none is
// named) signed a certificate that is valid now.
func chains(cert *x509.Certificate, store map[string]*x509.Certificate, names ...string) error {
	roots := x509.NewCertPool()
	for name, authority := range store {
		if len(names) == 0 || slices.Contains(names, name) {
			roots.AddCert(authority)
		}
	}
	_, err := cert.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return fmt.Errorf("%s: %w", cert.Subject, err)
	}
	return nil
}

// keptOn judges every certificate on a node's disk, authorities included, and
// counts the leaves.
func keptOn(n *Node, store map[string]*x509.Certificate) (count int, err error) {
	for _, folder := range []string{filepath.Join(n.root, "etc/kubernetes"), filepath.Join(n.root, "etc/imgforge"), filepath.Join(n.state, "kubelet/pki")} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !slices.Contains([]string{".crt", ".pem"}, filepath.Ext(path)) {
				return err
			}
			certs, err := certificatesIn(path)
			for _, cert := range certs {
				if err == nil {
					err = chains(cert, store)
				}
				if !cert.IsCA {
					count++
				}
			}
			if err != nil {
				err = fmt.Errorf("%s: %s: %w", n.Name, filepath.Base(path), err)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return count, err
		}
	}
	return count, nil
}

// certificatesIn reads the certificates of a PEM file, which may hold a key too.
func certificatesIn(path string) (certs []*x509.Certificate, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	return certs, nil
}
