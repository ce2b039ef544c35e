package profiles

import (
	"bytes"
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

// kubeconfig is a kubeconfig in /etc/kubernetes. It names its certificates by
// their paths, so that it is no secret and the same on every node, and PEM is not
// carried in two layers of base64, which do not compress.
type kubeconfig struct {
	// leaf is the node's leaf that it uses, which lies under pkiDir by this name.
	leaf, file, user string
	// local tells that it talks to the node's own API server.
	local bool
}

func (k kubeconfig) path() string { return "/etc/kubernetes/" + k.file }
func (k kubeconfig) cert() string { return pkiDir + "/" + k.leaf + ".crt" }
func (k kubeconfig) key() string  { return pkiDir + "/" + k.leaf + ".key" }

// kubeconfigs are those of a role. The kubelet's is what it asks with for the
// certificate that it then renews by itself.
func (s *scope) kubeconfigs() []kubeconfig {
	kubelet := kubeconfig{leaf: "kubelet", file: "kubelet.conf", user: "kubelet"}
	if !s.isMaster() {
		return []kubeconfig{kubelet}
	}
	return []kubeconfig{
		kubelet,
		{leaf: "controller-manager", file: "controller-manager.conf", user: "system:kube-controller-manager", local: true},
		{leaf: "scheduler", file: "scheduler.conf", user: "system:kube-scheduler", local: true},
		{leaf: "admin", file: "admin.conf", user: "kubernetes-admin"},
	}
}

// sharedPKI places what all nodes of a role trust, and on masters the keys that
// all masters must share. Of the authorities' keys only the kubelet-signer's is
// ever on a node.
func sharedPKI(s *shared) error {
	if err := s.authority(caPath, "kubernetes"); err != nil {
		return err
	}
	for _, k := range s.kubeconfigs() {
		if err := s.kubeconfig(k); err != nil {
			return err
		}
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

// kubeconfig places a kubeconfig.
func (s *shared) kubeconfig(k kubeconfig) error {
	server := s.plan.Endpoint.URL
	if k.local {
		server = fmt.Sprintf("https://127.0.0.1:%d", s.plan.Endpoint.APIServerPort)
	}
	return s.fill(k.path(), 0o600, "common/kubeconfig.yaml", map[string]string{
		"Cluster": s.plan.Cluster, "Server": server, "User": k.user, "Context": k.user + "@" + s.plan.Cluster,
		"CA": caPath, "Certificate": k.cert(), "Key": k.key(),
	})
}

// ownPKI places the node's own leaves.
func ownPKI(o *own) error {
	if err := o.leaf("status", statusPath); err != nil {
		return err
	}
	for _, k := range o.kubeconfigs() {
		if err := o.leaf(k.leaf, pkiDir+"/"+k.leaf); err != nil {
			return err
		}
	}
	if !o.isMaster() {
		return nil
	}
	for _, l := range leafFiles {
		if err := o.leaf(l.leaf, pkiDir+"/"+l.path); err != nil {
			return err
		}
	}
	return nil
}

// leaf places <path>.crt and <path>.key of the node's leaf.
func (o *own) leaf(name, path string) error {
	id := o.node.Name + "/" + name
	cert, err := o.secrets.Certificate(id)
	if err != nil {
		return err
	}
	key, err := o.secrets.PrivateKey(id)
	if err != nil {
		return err
	}
	o.file(artifact.File{Path: path + ".crt", Mode: 0o644, Contents: cert})
	o.file(artifact.File{Path: path + ".key", Mode: 0o600, Contents: key, Secret: true})
	return nil
}
