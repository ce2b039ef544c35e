package lab

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/profiles/addons"
)

// peerPort is where every API server of the peer and its load balancer listen.
const peerPort = 6443

// sameFiles are those that a peer's node has from the payload of a node of imgforge:
// what is no part of the comparison is the same for both.
func sameFiles() []string {
	return []string{"etc/containerd/config.toml", "etc/systemd/system/containerd.service", "etc/sysctl.d/90-imgforge.conf",
		"etc/modules-load.d/imgforge.conf", "etc/systemd/journald.conf.d/50-imgforge.conf"}
}

// peerUnit is the kubelet's unit as Kubernetes' own packages have it: their unit and
// its drop-in for kubeadm in one. kubeadm starts it when its settings are written. It
// does not wait for network-online.target: the network is there from the first moment,
// which nothing on the node would tell systemd within its two minutes.
const peerUnit = `[Unit]
Description=kubelet
StartLimitIntervalSec=0

[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
Restart=always
RestartSec=10

[Install]
WantedBy=multi-user.target
`

const (
	peerConfig  = "/etc/kubernetes/kubeadm.yaml"
	peerFlannel = "/etc/kubernetes/flannel.json"
	peerAdmin   = "/etc/kubernetes/admin.conf"
)

// files lays out a node of the peer: what the payload gives to imgforge's, as far as
// it is no part of the comparison, and what a person prepares who knows kubeadm.
func (c *peerCluster) files(root, like string, m peerMember) error {
	for _, path := range sameFiles() {
		data, err := os.ReadFile(filepath.Join(like, path))
		if err != nil {
			return err
		}
		if err := add(root, path, string(data)); err != nil {
			return err
		}
	}
	if err := c.linkPlugins(root); err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n"
	for _, n := range c.members {
		hosts += fmt.Sprintf("%s %s\n", n.address.Addr(), n.name)
	}
	for path, text := range map[string]string{"etc/hosts": hosts, "etc/resolv.conf": "nameserver " + c.balancer.at.Addr().String() + "\n"} {
		if err := os.RemoveAll(filepath.Join(root, path)); err != nil {
			return err
		}
		if err := add(root, path, text); err != nil {
			return err
		}
	}
	config := strings.NewReplacer("TOKEN", c.token, "KEY", c.key).Replace(c.config(m))
	if err := add(root, peerConfig, config); err != nil {
		return err
	}
	if err := os.Chmod(filepath.Join(root, peerConfig), 0o600); err != nil {
		return err
	}
	if m == c.members[0] {
		if err := add(root, peerFlannel, c.flannel); err != nil {
			return err
		}
	}
	wants := filepath.Join(root, "etc/systemd/system/multi-user.target.wants")
	if err := os.MkdirAll(wants, 0o755); err != nil {
		return err
	}
	if err := os.Symlink("../containerd.service", filepath.Join(wants, "containerd.service")); err != nil {
		return err
	}
	if err := add(root, kubeletUnit, peerUnit); err != nil {
		return err
	}
	return override(root, []byte(peerUnit))
}

// linkPlugins leads containerd to the plugins of the extension, as imgforge-node does on
// a node of its own.
func (c *peerCluster) linkPlugins(root string) error {
	plugins, err := os.ReadDir(filepath.Join(c.trial.extensions[0], artifact.CNIPlugins))
	if err != nil {
		return err
	}
	to := filepath.Join(root, artifact.CNIFolder)
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, p := range plugins {
		if err := os.Symlink(artifact.CNIPlugins+"/"+p.Name(), filepath.Join(to, p.Name())); err != nil {
			return err
		}
	}
	return nil
}

// config is kubeadm's for a node, with TOKEN and KEY where the secrets are: its
// defaults, with images that are there already, keys as fast to make as imgforge's,
// and kube-proxy as imgforge has it.
func (c *peerCluster) config(m peerMember) string {
	k := c.trial.Plan.Kubernetes
	fill := strings.NewReplacer("ADDRESS", m.address.Addr().String(), "NAME", m.name, "VERSION", k.Version, "ENDPOINT", c.balancer.at.String(),
		"PODS", k.PodCIDR, "SERVICES", k.ServiceCIDR, "MODE", k.ProxyMode)
	switch {
	case m == c.members[0]:
		return fill.Replace(peerInit + peerCommon + peerProxy)
	case m.master:
		return fill.Replace(peerJoin + peerJoinMaster + peerCommon)
	}
	return fill.Replace(peerJoin + peerCommon)
}

// configs are those of the first member of each sort.
func (c *peerCluster) configs() []string {
	list := []string{c.config(c.members[0])}
	for i, m := range c.members[1:] {
		if i == 0 || m.master != c.members[i].master {
			list = append(list, c.config(m))
		}
	}
	return list
}

const peerInit = `apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: vVERSION
controlPlaneEndpoint: ENDPOINT
encryptionAlgorithm: ECDSA-P256
networking: {podSubnet: PODS, serviceSubnet: SERVICES}
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens:
- token: TOKEN
certificateKey: KEY
localAPIEndpoint: {advertiseAddress: ADDRESS}
`

const peerJoin = `apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken: {apiServerEndpoint: ENDPOINT, token: TOKEN, unsafeSkipCAVerification: true}
`

const peerJoinMaster = `controlPlane:
  certificateKey: KEY
  localAPIEndpoint: {advertiseAddress: ADDRESS}
`

const peerCommon = `nodeRegistration:
  name: NAME
  criSocket: unix:///run/containerd/containerd.sock
  imagePullPolicy: Never
  ignorePreflightErrors: [all]
  kubeletExtraArgs:
  - {name: node-ip, value: ADDRESS}
`

// peerProxy is what this kernel and imgforge's plan make of kube-proxy.
const peerProxy = `---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: MODE
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

// peerFlannelOf are imgforge's own objects of flannel, which reach the API at the
// peer's endpoint, as one list for kubectl apply.
func peerFlannelOf(master string, endpoint netip.AddrPort) (string, error) {
	file, err := artifact.ReadClusterFile(master)
	if err != nil {
		return "", err
	}
	file.EndpointURL = "https://" + endpoint.String()
	only := *file.Addons
	only.KubeProxy, only.CoreDNS, only.MetricsServer = false, false, false
	file.Addons = &only
	made, err := addons.Render(file, addons.Facts{})
	if err != nil {
		return "", err
	}
	list := struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Items      []json.RawMessage `json:"items"`
	}{APIVersion: "v1", Kind: "List"}
	for _, a := range made {
		if a.Name != addons.Flannel {
			continue
		}
		for _, o := range a.Objects {
			list.Items = append(list.Items, o.JSON)
		}
	}
	if len(list.Items) == 0 {
		return "", fmt.Errorf("the cluster has no flannel to give to its peer")
	}
	data, err := json.Marshal(list)
	return string(data), err
}
