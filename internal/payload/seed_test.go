package payload

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

func TestSeeds(t *testing.T) {
	for name, c := range map[string]struct {
		got  func() ([]byte, error)
		want string
	}{
		"meta-data":         {func() ([]byte, error) { return MetaData("worker-1", "i-1") }, "instance-id: i-1\nlocal-hostname: worker-1\n"},
		"meta-data of role": {func() ([]byte, error) { return MetaData("", "i-1") }, "instance-id: i-1\n"},
		"meta_data.json":    {func() ([]byte, error) { return OpenStackMetaData("worker-1", "u") }, `{"uuid":"u","hostname":"worker-1","name":"worker-1"}` + "\n"},
	} {
		if got, err := c.got(); err != nil || string(got) != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
}

// TestNetworkConfigIsUnderstood lets cloud-init turn it into what netplan and
// networkd read.
func TestNetworkConfigIsUnderstood(t *testing.T) {
	program := testtool.Path(t, "cloud-init")
	for name, c := range map[string]struct {
		in     Interface
		output string
		want   []string
	}{
		"dhcp":             {Interface{}, "netplan", []string{"name: e*", "dhcp4: true"}},
		"static":           {static(), "networkd", []string{"Name=eth0", "DHCP=no", "Address=192.168.1.11/24", "Gateway=192.168.1.1", "DNS=9.9.9.9"}},
		"static, netplan":  {static(), "netplan", []string{"eth0:", "dhcp4: false", "- 192.168.1.11/24", "via: 192.168.1.1", "- 9.9.9.9"}},
		"hardware address": {Interface{Name: "eth0", MAC: "52:54:00:12:34:56"}, "networkd", []string{"MACAddress=52:54:00:12:34:56", "DHCP=ipv4"}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := NetworkConfig(c.in)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			in := filepath.Join(dir, "network-config")
			if err := os.WriteFile(in, config, 0o600); err != nil {
				t.Fatal(err)
			}
			convert := exec.Command(program, "devel", "net-convert", "-p", in, "-k", "yaml", "-d", dir, "-D", "debian", "-O", c.output)
			if out, err := convert.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			text := below(t, filepath.Join(dir, "etc"))
			for _, w := range c.want {
				if !strings.Contains(text, w+"\n") {
					t.Errorf("%s is missing in\n%s", w, text)
				}
			}
		})
	}
}

func static() Interface {
	return Interface{Name: "eth0", Addresses: []string{"192.168.1.11/24"}, Gateway: "192.168.1.1", DNS: []string{"9.9.9.9"}}
}

// below is the text of every file in a folder.
func below(t *testing.T, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		text.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}
