package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/spec"
)

// Flag is one command line flag.
type Flag struct {
	Name  string `json:"name"` // without dashes
	Value string `json:"value"`
}

// Components whose flags a plan holds.
const (
	ComponentEtcd              = "etcd"
	ComponentAPIServer         = "kube-apiserver"
	ComponentControllerManager = "kube-controller-manager"
	ComponentScheduler         = "kube-scheduler"
	ComponentKubelet           = "kubelet"
)

const (
	pkiDir = "/etc/kubernetes/pki/"
	// Read by kube-apiserver; the static pod mounts each of them.
	authenticationConfig = "/etc/kubernetes/authentication.yaml"
	encryptionConfig     = "/etc/kubernetes/encryption.yaml"
	auditPolicy          = "/etc/kubernetes/audit-policy.yaml"
	auditLog             = "/var/log/kubernetes/audit/audit.log"
)

// flagsOf is the complete flag list of every component, with the user's own on
// top. Which flags those may not touch is checked when the file is read.
func flagsOf(c *spec.Cluster, p *Plan) map[string][]Flag {
	extra := c.Kubernetes.ExtraArgs
	return map[string][]Flag{
		ComponentEtcd:              merge(extra.Etcd, etcdFlags(p)),
		ComponentAPIServer:         merge(extra.APIServer, apiserverFlags(p), servingFlags()),
		ComponentControllerManager: merge(extra.ControllerManager, controllerManagerFlags(p), loopbackFlags("controller-manager"), servingFlags()),
		ComponentScheduler:         merge(extra.Scheduler, loopbackFlags("scheduler"), servingFlags()),
		ComponentKubelet:           merge(extra.Kubelet, kubeletFlags(p)),
	}
}

// merge lays the user's flags over our own and sorts them by name.
func merge(extra map[string]string, sets ...map[string]string) []Flag {
	all := map[string]string{}
	for _, s := range append(sets, extra) {
		maps.Copy(all, s)
	}
	out := make([]Flag, 0, len(all))
	for name, value := range all {
		out = append(out, Flag{Name: name, Value: value})
	}
	slices.SortFunc(out, func(a, b Flag) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// cipherSuites are the AEAD suites of TLS 1.2 with forward secrecy, which the CIS
// benchmark accepts; those of TLS 1.3 cannot be chosen in Go.
func cipherSuites() string {
	return strings.Join([]string{
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	}, ",")
}

// servingFlags are those of every Kubernetes component that serves TLS.
func servingFlags() map[string]string {
	return map[string]string{
		"profiling":         "false", // CIS 1.2.15, 1.3.2, 1.4.1
		"tls-cipher-suites": cipherSuites(),
		"tls-min-version":   "VersionTLS12",
	}
}

// loopbackFlags are those that the controller manager and the scheduler share:
// both serve 127.0.0.1 alone and check callers with their own kubeconfig.
func loopbackFlags(name string) map[string]string {
	kubeconfig := "/etc/kubernetes/" + name + ".conf"
	return map[string]string{
		"authentication-kubeconfig": kubeconfig,
		"authorization-kubeconfig":  kubeconfig,
		"bind-address":              "127.0.0.1",
		"kubeconfig":                kubeconfig,
		"leader-elect":              "true",
	}
}

// etcdFlags are kubeadm's for etcd 3.6, none of them of the --experimental- kind
// that 3.7 removed. Which members there are when a node's etcd starts, only the node
// can tell, by asking the others: its helper fills the two variables.
func etcdFlags(p *Plan) map[string]string {
	return map[string]string{
		"name":                           "${NODE}",
		"data-dir":                       "/var/lib/etcd",
		"listen-client-urls":             "https://127.0.0.1:2379,https://${ADDRESS}:2379",
		"advertise-client-urls":          "https://${ADDRESS}:2379",
		"listen-peer-urls":               "https://${ADDRESS}:2380",
		"initial-advertise-peer-urls":    "https://${ADDRESS}:2380",
		"listen-metrics-urls":            "http://127.0.0.1:2381",
		"initial-cluster":                "${INITIAL_CLUSTER}",
		"initial-cluster-state":          "${INITIAL_CLUSTER_STATE}",
		"initial-cluster-token":          p.Etcd.Token,
		"cert-file":                      pkiDir + "etcd/server.crt",
		"key-file":                       pkiDir + "etcd/server.key",
		"trusted-ca-file":                pkiDir + "etcd/ca.crt",
		"client-cert-auth":               "true",
		"peer-cert-file":                 pkiDir + "etcd/peer.crt",
		"peer-key-file":                  pkiDir + "etcd/peer.key",
		"peer-trusted-ca-file":           pkiDir + "etcd/ca.crt",
		"peer-client-cert-auth":          "true",
		"cipher-suites":                  cipherSuites(),
		"tls-min-version":                "TLS1.2",
		"snapshot-count":                 "10000",
		"feature-gates":                  "InitialCorruptCheck=true",
		"watch-progress-notify-interval": "5s",
	}
}

// apiserverFlags trust two authorities for clients: kubernetes, and kubelet-signer
// for kubelets that renewed their certificate through the API. Anonymous callers are
// ruled by the authentication file, which excludes --anonymous-auth.
func apiserverFlags(p *Plan) map[string]string {
	return map[string]string{
		"advertise-address":                       "${ADDRESS}",
		"allow-privileged":                        "true",
		"audit-log-maxage":                        "30",
		"audit-log-maxbackup":                     "10",
		"audit-log-maxsize":                       "100",
		"audit-log-path":                          auditLog,
		"audit-policy-file":                       auditPolicy,
		"authentication-config":                   authenticationConfig,
		"authorization-mode":                      "Node,RBAC",
		"bind-address":                            "0.0.0.0",
		"client-ca-file":                          pkiDir + "client-ca.crt",
		"enable-admission-plugins":                "NodeRestriction",
		"encryption-provider-config":              encryptionConfig,
		"etcd-cafile":                             pkiDir + "etcd/ca.crt",
		"etcd-certfile":                           pkiDir + "apiserver-etcd-client.crt",
		"etcd-keyfile":                            pkiDir + "apiserver-etcd-client.key",
		"etcd-servers":                            "https://127.0.0.1:2379",
		"kubelet-certificate-authority":           pkiDir + "kubelet-signer.crt",
		"kubelet-client-certificate":              pkiDir + "apiserver-kubelet-client.crt",
		"kubelet-client-key":                      pkiDir + "apiserver-kubelet-client.key",
		"kubelet-preferred-address-types":         "InternalIP,ExternalIP,Hostname",
		"proxy-client-cert-file":                  pkiDir + "front-proxy-client.crt",
		"proxy-client-key-file":                   pkiDir + "front-proxy-client.key",
		"requestheader-allowed-names":             "front-proxy-client",
		"requestheader-client-ca-file":            pkiDir + "front-proxy-ca.crt",
		"requestheader-extra-headers-prefix":      "X-Remote-Extra-",
		"requestheader-group-headers":             "X-Remote-Group",
		"requestheader-username-headers":          "X-Remote-User",
		"secure-port":                             fmt.Sprint(p.Endpoint.APIServerPort),
		"service-account-extend-token-expiration": "false",
		"service-account-issuer":                  "https://kubernetes.default.svc." + p.Kubernetes.ClusterDomain,
		"service-account-key-file":                pkiDir + "sa.pub",
		"service-account-signing-key-file":        pkiDir + "sa.key",
		"service-cluster-ip-range":                p.Kubernetes.ServiceCIDR,
		"tls-cert-file":                           pkiDir + "apiserver.crt",
		"tls-private-key-file":                    pkiDir + "apiserver.key",
	}
}

// controllerManagerFlags sign for the two kubelet signers alone: without
// --cluster-signing-cert-file every other signer stays off.
func controllerManagerFlags(p *Plan) map[string]string {
	return map[string]string{
		"allocate-node-cidrs": "true",
		"client-ca-file":      pkiDir + "ca.crt",
		"cluster-cidr":        p.Kubernetes.PodCIDR,
		"cluster-name":        p.Cluster,
		"cluster-signing-kubelet-client-cert-file":  pkiDir + "kubelet-signer.crt",
		"cluster-signing-kubelet-client-key-file":   pkiDir + "kubelet-signer.key",
		"cluster-signing-kubelet-serving-cert-file": pkiDir + "kubelet-signer.crt",
		"cluster-signing-kubelet-serving-key-file":  pkiDir + "kubelet-signer.key",
		// Its default lies on the image's read-only root; this is the kubelet's.
		"flex-volume-plugin-dir": "/var/lib/kubelet/volumeplugins",
		// Whoever comes to lead asks over a hundred times for what its controllers act with: with
		// the defaults, 20 a second, nothing is controlled for the first five seconds.
		"kube-api-burst":                   "200",
		"kube-api-qps":                     "100",
		"node-cidr-mask-size":              fmt.Sprint(p.Kubernetes.NodeMask),
		"requestheader-client-ca-file":     pkiDir + "front-proxy-ca.crt",
		"root-ca-file":                     pkiDir + "ca.crt",
		"service-account-private-key-file": pkiDir + "sa.key",
		"service-cluster-ip-range":         p.Kubernetes.ServiceCIDR,
		"terminated-pod-gc-threshold":      "1000", // CIS 1.3.1
		"use-service-account-credentials":  "true",
	}
}

// kubeletFlags are those that its configuration file cannot hold. The node's own
// leaf is its first client certificate: named by --kubeconfig it is used at once, and
// rotated all the same, into the certificate store, which wins from then on. As a
// --bootstrap-kubeconfig it would only ask for another one, and the node would wait
// until a controller manager has signed it.
func kubeletFlags(p *Plan) map[string]string {
	out := map[string]string{
		"cert-dir":          "/var/lib/kubelet/pki",
		"config":            "/var/lib/kubelet/config.yaml",
		"hostname-override": "${NODE}",
		"kubeconfig":        "/etc/kubernetes/kubelet.conf",
		"node-ip":           "${ADDRESS}",
	}
	if m, _ := minorOf(p.Kubernetes.Minor); m.podInfraImage {
		out["pod-infra-container-image"] = p.Images.Pause
	}
	return out
}
