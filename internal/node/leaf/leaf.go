// Package leaf reads the certificates that a node carries: whether each belongs to
// its key and to the authority beside it, and when it ends.
package leaf

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const pkiDir = "/etc/kubernetes/pki"

// Current is where the kubelet keeps the client certificate that it renews by itself.
const Current = "/var/lib/kubelet/pki/kubelet-client-current.pem"

// StatusPath is the status page's certificate and key, without extension; CAPath
// is the authority that its callers and the API server belong to.
const (
	StatusPath  = "/etc/imgforge/pki/status"
	KubeletPath = pkiDir + "/kubelet"
	CAPath      = pkiDir + "/ca.crt"
)

// State is what one certificate on the node is.
type State struct {
	Path     string // on the node
	NotAfter time.Time
	// Renewed tells that the node renews it by itself.
	Renewed bool
	// Unread is why it cannot be read; Foreign is why it does not fit what lies beside it.
	Unread, Foreign string
}

// place is a leaf and the file of the authority that has to have signed it.
type place struct{ leaf, ca string }

// places are the leaves of a role, in the order of the boot.
func places(role string) []place {
	out := []place{{KubeletPath, CAPath}, {StatusPath, CAPath}}
	if role != "master" {
		return out
	}
	etcd, front := pkiDir+"/etcd/ca.crt", pkiDir+"/front-proxy-ca.crt"
	return append(out,
		place{pkiDir + "/etcd/server", etcd}, place{pkiDir + "/etcd/peer", etcd}, place{pkiDir + "/etcd/healthcheck-client", etcd},
		place{pkiDir + "/apiserver-etcd-client", etcd},
		place{pkiDir + "/apiserver", CAPath}, place{pkiDir + "/apiserver-kubelet-client", CAPath}, place{pkiDir + "/front-proxy-client", front},
		place{pkiDir + "/controller-manager", CAPath}, place{pkiDir + "/scheduler", CAPath}, place{pkiDir + "/admin", CAPath})
}

// authorities are the certificates of authorities on a role's nodes.
func authorities(role string) []string {
	if role != "master" {
		return []string{CAPath}
	}
	return []string{CAPath, pkiDir + "/client-ca.crt", pkiDir + "/etcd/ca.crt", pkiDir + "/front-proxy-ca.crt", pkiDir + "/kubelet-signer.crt"}
}

// Read looks at every certificate that a node of this role carries, those of its
// authorities last. The kubelet's leaf counts as renewed for as long as one that it
// renewed is good at now: the kubelet prefers that one.
func Read(root, role string, now time.Time) []State {
	var out []State
	renewed, there := current(root)
	for _, p := range places(role) {
		s := read(root, p)
		s.Renewed = p.leaf == KubeletPath && there && renewed.NotAfter.After(now)
		out = append(out, s)
	}
	if there {
		out = append(out, renewed)
	}
	for _, path := range authorities(role) {
		out = append(out, authority(root, path))
	}
	return out
}

// LatestBoot is the first end among the certificates that a boot needs and that
// are not renewed; zero when none of them can be read.
func LatestBoot(states []State) time.Time {
	var first time.Time
	for _, s := range states {
		if s.Unread != "" || s.Renewed {
			continue
		}
		if first.IsZero() || s.NotAfter.Before(first) {
			first = s.NotAfter
		}
	}
	return first
}

// read judges one leaf, its key and its authority.
func read(root string, p place) State {
	s := State{Path: p.leaf + ".crt"}
	pair, err := tls.LoadX509KeyPair(filepath.Join(root, p.leaf+".crt"), filepath.Join(root, p.leaf+".key"))
	if err != nil {
		// A pair that does not match is still two files that can be read.
		if cert, certErr := first(root, p.leaf+".crt"); certErr == nil && keyReads(root, p.leaf+".key") {
			s.NotAfter, s.Foreign = cert.NotAfter, "it does not belong to the key "+p.leaf+".key"
			return s
		}
		s.Unread = plain(root, err)
		return s
	}
	s.NotAfter = pair.Leaf.NotAfter
	signers, err := certificates(root, p.ca)
	if err != nil {
		s.Unread = plain(root, err)
		return s
	}
	for _, ca := range signers {
		if pair.Leaf.CheckSignatureFrom(ca) == nil {
			return s
		}
	}
	s.Foreign = fmt.Sprintf("it was not signed by the authority in %s, but by another one that calls itself %q", p.ca, pair.Leaf.Issuer.CommonName)
	return s
}

// authority reads a file of authorities; the first to end counts.
func authority(root, path string) State {
	s := State{Path: path}
	all, err := certificates(root, path)
	if err != nil {
		s.Unread = plain(root, err)
	}
	for _, c := range all {
		if s.NotAfter.IsZero() || c.NotAfter.Before(s.NotAfter) {
			s.NotAfter = c.NotAfter
		}
	}
	return s
}

// current is the kubelet's renewed certificate, if it has one.
func current(root string) (State, bool) {
	cert, err := first(root, Current)
	if err != nil {
		return State{}, false // none yet, or one that the kubelet replaces
	}
	return State{Path: Current, NotAfter: cert.NotAfter, Renewed: true}, true
}

func first(root, path string) (*x509.Certificate, error) {
	all, err := certificates(root, path)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// certificates are those of a PEM file; there is at least one.
func certificates(root, path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return out, nil
}

// keyReads tells whether a file holds a private key at all.
func keyReads(root, path string) bool {
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return false
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return false
	}
	var key crypto.PrivateKey
	if key, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
		if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		}
	}
	return err == nil && key != nil
}

// plain is an error with paths as they are on the node.
func plain(root string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		path := strings.TrimPrefix(strings.TrimPrefix(p.Path, filepath.Clean("/"+root)), "/")
		return fmt.Sprintf("/%s: %v", path, p.Err)
	}
	return err.Error()
}
