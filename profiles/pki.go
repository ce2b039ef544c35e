package profiles

import (
	"bytes"
	"encoding/base64"
	"fmt"

	"github.com/imgforge/imgforge/internal/artifact"
)

const (
	pkiDir = "/etc/kubernetes/pki"
	caPath = pkiDir + "/ca.crt"
	// statusPath is the status page's certificate and key, without extension.
	statusPath = "/etc/imgforge/pki/status"
)

// leafFiles are the leaves of a master in kubeadm's layout: the name of the
// leaf and the path of its .crt and .key under pkiDir.
var leafFiles = [...]struct{ leaf, path string }{
	{"apiserver", "apiserver"},
	{"apiserver-kubelet-client", "apiserver-kubelet-client"},
	{"apiserver-etcd-client", "apiserver-etcd-client"},
	{"front-proxy-client", "front-proxy-client"},
	{"etcd-server", "etcd/server"},
	{"etcd-peer", "etcd/peer"},
	{"etcd-healthcheck-client", "etcd/healthcheck-client"},
}

// masterAuthorities are the certificates of authorities on masters, under pkiDir.
// The API server knows clients of two: kubelets renew their certificates through
// the API, and the key that signs there must not be the kubernetes authority's.
var masterAuthorities = [...]struct {
	path        string
	authorities []string
}{
	{"client-ca.crt", []string{"kubernetes", "kubelet-signer"}},
	{"etcd/ca.crt", []string{"etcd"}},
	{"front-proxy-ca.crt", []string{"front-proxy"}},
	{"kubelet-signer.crt", []string{"kubelet-signer"}},
}

// kubeconfigs are the kubeconfigs of a master besides the kubelet's: the leaf
// they hold and whether they talk to the node's own API server.
var kubeconfigs = [...]struct {
	leaf, user string
	local      bool
}{
	{"controller-manager", "system:kube-controller-manager", true},
	{"scheduler", "system:kube-scheduler", true},
	{"admin", "kubernetes-admin", false},
}

// sharedPKI places what all nodes of a role trust, and on masters the keys that
// all masters must share. Of the authorities' keys only the kubelet-signer's is
// ever on a node.
func sharedPKI(s *shared) error {
	if err := s.authority(caPath, "kubernetes"); err != nil {
		return err
	}
	if !s.isMaster() {
		return nil
	}
	for _, f := range masterAuthorities {
		if err := s.authority(pkiDir+"/"+f.path, f.authorities...); err != nil {
			return err
		}
	}
	signer, err := s.secrets.AuthorityKey("kubelet-signer")
	if err != nil {
		return err
	}
	private, err := s.secrets.Secret("service-account")
	if err != nil {
		return err
	}
	public, err := s.secrets.Public("service-account")
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: pkiDir + "/kubelet-signer.key", Mode: 0o600, Contents: signer, Secret: true})
	s.file(artifact.File{Path: pkiDir + "/sa.key", Mode: 0o600, Contents: private, Secret: true})
	s.file(artifact.File{Path: pkiDir + "/sa.pub", Mode: 0o644, Contents: public})
	return nil
}

// authority writes the certificates of one or more authorities into one file.
func (s *shared) authority(path string, names ...string) error {
	var bundle bytes.Buffer
	for _, name := range names {
		cert, err := s.secrets.Authority(name)
		if err != nil {
			return err
		}
		bundle.Write(bytes.TrimSpace(cert))
		bundle.WriteByte('\n')
	}
	s.file(artifact.File{Path: path, Mode: 0o644, Contents: bundle.Bytes()})
	return nil
}

// ownPKI places the node's own leaves and the kubeconfigs that hold them.
func ownPKI(o *own) error {
	if err := o.leaf("status", statusPath); err != nil {
		return err
	}
	if err := o.kubeconfig("/etc/kubernetes/bootstrap-kubelet.conf", "kubelet", "system:node:"+o.node.Name, o.plan.Endpoint.URL); err != nil {
		return err
	}
	if !o.isMaster() {
		return nil
	}
	for _, l := range leafFiles {
		if err := o.leaf(l.leaf, pkiDir+"/"+l.path); err != nil {
			return err
		}
	}
	local := fmt.Sprintf("https://127.0.0.1:%d", o.plan.Endpoint.APIServerPort)
	for _, k := range kubeconfigs {
		server := o.plan.Endpoint.URL
		if k.local {
			server = local
		}
		if err := o.kubeconfig("/etc/kubernetes/"+k.leaf+".conf", k.leaf, k.user, server); err != nil {
			return err
		}
	}
	return nil
}

// leaf places <path>.crt and <path>.key of the node's leaf.
func (o *own) leaf(name, path string) error {
	cert, key, err := o.pair(name)
	if err != nil {
		return err
	}
	o.file(artifact.File{Path: path + ".crt", Mode: 0o644, Contents: cert})
	o.file(artifact.File{Path: path + ".key", Mode: 0o600, Contents: key, Secret: true})
	return nil
}

// kubeconfig places a kubeconfig that embeds the node's leaf and names the
// kubernetes authority by its path: the same for all, so it need not be carried in each.
func (o *own) kubeconfig(path, leaf, user, server string) error {
	cert, key, err := o.pair(leaf)
	if err != nil {
		return err
	}
	text, err := render("common/kubeconfig.yaml", map[string]string{
		"Cluster": o.plan.Cluster, "Server": server, "User": user, "Context": user + "@" + o.plan.Cluster,
		"Certificate": base64.StdEncoding.EncodeToString(cert), "Key": base64.StdEncoding.EncodeToString(key),
	})
	if err != nil {
		return err
	}
	o.file(artifact.File{Path: path, Mode: 0o600, Contents: []byte(text), Secret: true})
	return nil
}

func (o *own) pair(leaf string) (cert, key []byte, err error) {
	id := o.node.Name + "/" + leaf
	if cert, err = o.secrets.Certificate(id); err != nil {
		return nil, nil, err
	}
	key, err = o.secrets.PrivateKey(id)
	return cert, key, err
}
