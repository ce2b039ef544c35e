package forge

import (
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A drive asks for DHCP, except on a network of which the plan says that the node
// has its address from its payload.
func TestDriveKnowsWhichNetworkHasNoDHCP(t *testing.T) {
	const cluster = `apiVersion: imgforge/v1alpha1
kind: Cluster
name: pocket
platform: {provider: proxmox}
os: {family: debian}
network: {mesh: none, cidr: 10.99.0.0/24, NETWORK}
endpoint: {mode: local}
dns: [10.99.0.254]
roles:
  master: {count: 1, reserve: 0}
`
	for network, want := range map[string][]string{
		"gateway: 10.99.0.254": {"dhcp4: false", "- 10.99.0.11/24", "via: 10.99.0.254", "nameservers:"},
		"interface: eth0":      {"dhcp4: true"},
	} {
		dir := t.TempDir()
		file, out := filepath.Join(dir, "cluster.yaml"), filepath.Join(dir, "out")
		if err := os.WriteFile(file, []byte(strings.Replace(cluster, "NETWORK", network, 1)), 0o644); err != nil {
			t.Fatal(err)
		}
		app := &App{Now: time.Now, Rand: rand.Reader, Log: io.Discard, Getenv: func(name string) string {
			return map[string]string{"HOME": filepath.Join(dir, "home")}[name]
		}}
		if _, err := app.PKIInit(t.Context(), Source{File: file}); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Build(t.Context(), BuildOptions{Source: Source{File: file}, Out: out}); err != nil {
			t.Fatal(err)
		}
		drive, err := os.ReadFile(filepath.Join(out, "secret/drives/master-1.iso"))
		if err != nil {
			t.Fatal(err)
		}
		for _, words := range want {
			if !strings.Contains(string(drive), words) {
				t.Errorf("%s: the drive does not say %q", network, words)
			}
		}
	}
}
