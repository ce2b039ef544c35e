package profiles

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// wireguardStore says keys of the right form.
type wireguardStore struct{ fakeSecrets }

func (wireguardStore) Secret(id string) ([]byte, error) {
	sum := sha256.Sum256([]byte(id))
	return []byte(base64.StdEncoding.EncodeToString(sum[:])), nil
}

func (s wireguardStore) Public(id string) ([]byte, error) { return s.Secret("public " + id) }

// TestNetworkdReadsFiles starts systemd-networkd on the rendered files, where it
// can see no other network, and lists what it has to say about them.
func TestNetworkdReadsFiles(t *testing.T) {
	testtool.Root(t)
	const networkd = "/usr/lib/systemd/systemd-networkd"
	if _, err := os.Stat(networkd); err != nil {
		testtool.Skip(t, "systemd-networkd is needed: %v", err)
	}
	for name, p := range map[string]*plan.Plan{
		"wireguard": example(t, "exoscale"),
		"tinc":      example(t, "scaleway-ha"),
		"static by name": planOf(t, `{name: a, platform: {provider: metal}, endpoint: {mode: local},
			network: {mesh: none, cidr: 192.168.1.0/24, gateway: 192.168.1.1, interface: eth7}, roles: {master: {count: 1}}}`, plan.Facts{}),
		"static by hardware address": planOf(t, `{name: a, platform: {provider: metal}, endpoint: {mode: local},
			network: {mesh: none, cidr: 192.168.1.0/24, gateway: 192.168.1.1},
			roles: {master: {count: 1, nodes: [{mac: "52:54:00:12:34:56"}]}}}`, plan.Facts{}),
		"static, any": planOf(t, `{name: a, platform: {provider: metal}, endpoint: {mode: local},
			network: {mesh: none, cidr: 192.168.1.0/24, gateway: 192.168.1.1}, roles: {master: {count: 1}}}`, plan.Facts{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			doc, err := Node(p, p.Nodes[0].Name, wireguardStore{newSecrets()})
			if err != nil {
				t.Fatal(err)
			}
			dir, files := t.TempDir(), 0
			for _, f := range doc.Files {
				if strings.HasSuffix(f.Path, ".netdev") {
					f = handedOver(t, doc, f)
				}
				if strings.HasPrefix(f.Path, "/etc/systemd/network") {
					place(t, filepath.Join(dir, strings.TrimPrefix(f.Path, "/etc")), f, strings.NewReplacer())
					files++
				}
			}
			for _, line := range networkdSays(t, networkd, dir) {
				t.Error(line)
			}
			broken := filepath.Join(dir, "systemd/network/05-imgforge-unmanaged.network")
			if err := os.WriteFile(broken, []byte("[Match]\nName=a\n[Network]\nAdress=192.168.1.1/24\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if len(networkdSays(t, networkd, dir)) == 0 || files < 2 {
				t.Errorf("networkd has read none of %d files: it accepts a typo", files)
			}
		})
	}
}

// handedOver is a file with keys as the mesh unit leaves it for networkd, which
// runs without root's rights.
func handedOver(t *testing.T, doc *payload.Document, f artifact.File) artifact.File {
	t.Helper()
	for _, u := range doc.Units {
		if u.Name == unitMesh && strings.Contains(u.Contents, "chgrp systemd-network "+f.Path+"\n") && strings.Contains(u.Contents, "chmod 0640 "+f.Path+"\n") {
			f.Mode, f.Group = 0o640, "systemd-network"
			return f
		}
	}
	t.Errorf("%s is not handed to networkd by %s", f.Path, unitMesh)
	return f
}

// networkdSays lists what a networkd of its own says about files in dir, whose
// layout is that of /run. Whether the kernel can make the interface is not asked.
func networkdSays(t *testing.T, networkd, dir string) []string {
	t.Helper()
	script := fmt.Sprintf("mount -t tmpfs none /run && cp -a %s/systemd /run/ && mkdir -p /run/systemd/netif/links /run/systemd/netif/leases && exec timeout 1 %s", dir, networkd)
	out, err := exec.Command("unshare", "--net", "--mount", "sh", "-c", script).CombinedOutput()
	if len(out) == 0 {
		t.Fatalf("networkd did not start: %v", err)
	}
	var about []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "imgforge") {
			about = append(about, strings.TrimSpace(line))
		}
	}
	return about
}
