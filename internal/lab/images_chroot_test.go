//go:build lab

package lab

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// Every image has what manifests call, at the path that upstream's image has it, and it runs there.
func TestImagesRunWhatManifestsCall(t *testing.T) {
	b := newTrial(t, "tinc-vip")
	refs := b.Plan.Images
	roots := map[string]string{}
	for _, i := range imagesOf(refs) {
		roots[i.ref] = b.unpacked(t, i)
	}
	for _, tc := range []struct {
		ref, command, says string
	}{
		{refs.Etcd, "etcd --version", "etcd Version"},
		{refs.APIServer, "kube-apiserver --version", "Kubernetes v"},
		{refs.ControllerManager, "kube-controller-manager --version", "Kubernetes v"},
		{refs.Scheduler, "kube-scheduler --version", "Kubernetes v"},
		{refs.KubeProxy, "/usr/local/bin/kube-proxy --version", "Kubernetes v"},
		{refs.KubeProxy, "iptables --version", "nf_tables"},
		{refs.KubeProxy, "ip6tables-save --version", "nf_tables"},
		{refs.KubeProxy, "nft --version", "nftables"},
		{refs.KubeProxy, "conntrack --version", "conntrack v"},
		{refs.Flannel, "/opt/bin/flanneld --version", "0."},
		{refs.Flannel, "iptables-restore --version", "nf_tables"},
		{refs.Flannel, "nft --version", "nftables"},
		{refs.Flannel, "cp -f /opt/bin/flanneld /copy", ""},
		{refs.FlannelCNI, "cp -f /flannel /copy", ""},
		{refs.CoreDNS, "/coredns -version", "CoreDNS-"},
		{refs.MetricsServer, "/metrics-server --version", "v0."},
		{refs.HAProxy, "haproxy -v", "HAProxy version"},
		{refs.Keepalived, "keepalived --version", "Keepalived v"},
		{refs.Keepalived, "/usr/bin/imgforge-node help", "imgforge-node check"},
		{refs.Flannel, "wget -q -O - http://127.0.0.1:1/", "can't connect"},
		{ProbeImage, "wget -q -O - http://127.0.0.1:1/", "can't connect"},
		{ProbeImage, "nslookup --help", "Usage: nslookup"},
		{ProbeImage, "nc --help", "Usage: nc"},
		{ProbeImage, "httpd --help", "Usage: httpd"},
		{ProbeImage, "sh -c hostname", ""},
	} {
		out, err := inside(t.Context(), roots[tc.ref], strings.Fields(tc.command)...)
		// Programs exit differently after a help text: what they print counts.
		if !strings.Contains(out, tc.says) || tc.says == "" && err != nil {
			t.Errorf("%s: %s: %v\n%s", tc.ref, tc.command, err, out)
		}
	}
	b.keepalivedTakesItsConfiguration(t, roots[refs.Keepalived])
}

// keepalivedTakesItsConfiguration has the image that runs keepalived judge the
// rendered configuration, the helper that it calls as its script, and a broken one.
func (b *Trial) keepalivedTakesItsConfiguration(t *testing.T, root string) {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join(b.Out, "secret", "nodes", "master-1.ign"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := payloadFile(payload, "/etc/imgforge/keepalived/keepalived.conf")
	if err != nil {
		t.Fatal(err)
	}
	check := func(text string) string {
		if err := os.WriteFile(filepath.Join(root, "keepalived.conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		// It exits with 0 on some of what it does not like, and says so.
		out, err := inside(t.Context(), root, "keepalived", "--config-test", "--use-file", "/keepalived.conf")
		if err != nil {
			return out + err.Error()
		}
		return out
	}
	if said := check(string(config)); said != "" {
		t.Errorf("keepalived says in its image:\n%s", said)
	}
	helper := filepath.Join(root, "usr/bin", nodeHelper)
	if err := os.Rename(helper, helper+"-gone"); err != nil {
		t.Fatal(err)
	}
	if said := check(string(config)); !strings.Contains(said, "script check") {
		t.Errorf("keepalived does not miss the helper in its image: %q", said)
	}
	if check(string(config)+"vrrp_nonsense {\n}\n") == "" {
		t.Error("keepalived says nothing about a broken configuration")
	}
}

// unpacked makes an image and lays its layer out as a container would see it.
func (l *Lab) unpacked(t *testing.T, i image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	root := filepath.Join(dir, "root")
	must(t, os.MkdirAll(root, 0o755))
	made, err := l.makeImage(t.Context(), filepath.Join(dir, "layer.tar"), i)
	must(t, err)
	whole := mutate.Extract(made)
	defer whole.Close()
	cmd := exec.CommandContext(t.Context(), "tar", "-x", "-C", root)
	cmd.Stdin = whole
	_, err = output(cmd)
	must(t, err)
	return root
}

// inside runs a command in the root of an image, on a network of its own that has
// the interface of the mesh.
func inside(ctx context.Context, root string, command ...string) (string, error) {
	const script = `ip tuntap add mesh0 mode tap && ip link set mesh0 up; root=$1; shift; exec chroot "$root" "$@"`
	cmd := exec.CommandContext(ctx, "unshare", append([]string{"--net", "sh", "-c", script, "sh", root}, command...)...)
	_, path, _ := strings.Cut(searchPath, "=")
	cmd.Env = []string{"PATH=" + path}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
