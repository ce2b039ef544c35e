package toolchain

// pin is a program that is built from a module under internal/tools.
type pin struct {
	module string // folder under internal/tools
	pkg    string // package of the program, as go build takes it
	// ldflags are the linker's, on which the program's behaviour depends.
	ldflags string
	// cgo tells that the program links C libraries, which debian.txt names.
	cgo bool
}

// pins are the programs that are built. Versions stand in the modules' go.mod files.
func pins() map[string]pin {
	return map[string]pin{
		// The engine would ask the scratch root for a SELinux policy otherwise.
		"ignition": {module: "ignition", pkg: "github.com/coreos/ignition/v2/internal", cgo: true,
			ldflags: "-X github.com/coreos/ignition/v2/internal/distro.selinuxRelabel=false"},
		"ignition-validate": {module: "ignition", pkg: "github.com/coreos/ignition/v2/validate"},
		"butane":            {module: "butane", pkg: "github.com/coreos/butane/internal"},
		"cfssl":             {module: "cfssl", pkg: "github.com/cloudflare/cfssl/cmd/cfssl"},
		"cfssljson":         {module: "cfssl", pkg: "github.com/cloudflare/cfssl/cmd/cfssljson"},
		"containerd":        {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd"},
		"ctr":               {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/ctr"},

		"containerd-shim-runc-v2": {module: "containerd", pkg: "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
		"pause":                   {module: "pause", pkg: "."},
		"crictl":                  {module: "crictl", pkg: "github.com/kubernetes-sigs/cri-tools/cmd/crictl", ldflags: "-X github.com/kubernetes-sigs/cri-tools/pkg/version.Version=1.30.0"},

		"etcd":       {module: "etcd", pkg: "go.etcd.io/etcd/server/v3"},
		"etcd-3.7":   {module: "etcd-next", pkg: "go.etcd.io/etcd/server/v3"},
		"etcdctl":    {module: "etcd", pkg: "go.etcd.io/etcd/etcdctl/v3"},
		"k8s-strict": {module: "k8s-strict", pkg: "."},
		"oras-pull":  {module: "oras-pull", pkg: "."},
		// The last minor under the Mozilla Public License.
		"packer": {module: "packer", pkg: "github.com/hashicorp/packer"},
		// An S3 server that keeps objects as files.
		"versitygw":    {module: "versitygw", pkg: "github.com/versity/versitygw/cmd/versitygw"},
		"wireguard-go": {module: "wireguard", pkg: "golang.zx2c4.com/wireguard"},

		// Its UDP backend is C. Linked into the program, since its image holds no libraries for it.
		"flanneld": {module: "flannel", pkg: "github.com/flannel-io/flannel", cgo: true,
			ldflags: "-linkmode external -extldflags -static -X github.com/flannel-io/flannel/pkg/version.Version=v0.26.7"},
		// The newest release in which the plugin is one of the reference plugins; flannel's own repository has no module of it.
		"cni-flannel":    {module: "flannel-cni", pkg: "github.com/containernetworking/plugins/plugins/meta/flannel"},
		"coredns":        {module: "coredns", pkg: "github.com/coredns/coredns"},
		"metrics-server": {module: "metrics-server", pkg: "sigs.k8s.io/metrics-server/cmd/metrics-server"},

		"cni-bandwidth":  cni("meta/bandwidth"),
		"cni-bridge":     cni("main/bridge"),
		"cni-firewall":   cni("meta/firewall"),
		"cni-host-local": cni("ipam/host-local"),
		"cni-loopback":   cni("main/loopback"),
		"cni-portmap":    cni("meta/portmap"),
		"cni-ptp":        cni("main/ptp"),
		"cni-tuning":     cni("meta/tuning"),

		// As its project publishes it: linked into the program, with libseccomp.
		"runc-static": {module: "runc", pkg: "github.com/opencontainers/runc", cgo: true, ldflags: "-linkmode external -extldflags -static"},

		// What others make a cluster with, of the same version. Its module is its own: another
		// program in Kubernetes' would have all of them built again.
		"kubeadm": {module: "kubeadm", pkg: "k8s.io/kubernetes/cmd/kubeadm", ldflags: versioned},

		"kube-apiserver":          kubernetes("kube-apiserver"),
		"kube-controller-manager": kubernetes("kube-controller-manager"),
		"kube-proxy":              kubernetes("kube-proxy"),
		"kube-scheduler":          kubernetes("kube-scheduler"),
		"kubectl":                 kubernetes("kubectl"),
		"kubelet":                 kubernetes("kubelet"),
	}
}

// cni is a plugin that makes networks of pods.
func cni(plugin string) pin {
	return pin{module: "cni", pkg: "github.com/containernetworking/plugins/plugins/" + plugin}
}

// tagsOf are the build tags of a program that is another one without them.
func tagsOf(name string) string {
	return map[string]string{"runc-static": "seccomp"}[name]
}

// kubernetes is a program of Kubernetes, told its version: without it the
// API server calls itself v0.0.0 and refuses to emulate any.
func kubernetes(name string) pin {
	return pin{module: "kubernetes", pkg: "k8s.io/kubernetes/cmd/" + name, ldflags: versioned}
}

// versioned tells a program of Kubernetes its version.
const versioned = "-X k8s.io/component-base/version.gitVersion=v1.36.3 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36"
