package payload

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/testtool"
)

// ign is a config with one part.
func ign(part string) []byte { return []byte(`{"ignition":{"version":"3.4.0"},` + part + `}`) }

func TestCloudInitNamesWhatItCannotExpress(t *testing.T) {
	for want, in := range map[string][]byte{
		"storage.disks[0] (/dev/vda)":                              ign(`"storage":{"disks":[{"device":"/dev/vda","wipeTable":true}]}`),
		"storage.raid[0] (data)":                                   ign(`"storage":{"raid":[{"name":"data","level":"raid1","devices":["/dev/vdb","/dev/vdc"]}]}`),
		"storage.luks[0] (data)":                                   ign(`"storage":{"luks":[{"name":"data","device":"/dev/vdb"}]}`),
		"kernelArguments.shouldExist":                              ign(`"kernelArguments":{"shouldExist":["quiet"]}`),
		"kernelArguments.shouldNotExist":                           ign(`"kernelArguments":{"shouldNotExist":["quiet"]}`),
		"storage.files[0].append (/etc/a)":                         ign(`"storage":{"files":[{"path":"/etc/a","append":[{"source":"data:,x"}]}]}`),
		"storage.files[0].contents.verification.hash (/etc/a)":     ign(`"storage":{"files":[{"path":"/etc/a","contents":{"source":"https://example.org/a"}}]}`),
		"storage.files[0].contents.source (/etc/a)":                ign(`"storage":{"files":[{"path":"/etc/a","contents":{"source":"s3://bucket/a"}}]}`),
		"storage.files[0].contents.httpHeaders (/etc/a)":           ign(`"storage":{"files":[{"path":"/etc/a","contents":{"source":"https://example.org/a","httpHeaders":[{"name":"A","value":"b"}],"verification":{"hash":"sha256-` + strings.Repeat("0", 64) + `"}}}]}`),
		"storage.files[0].user (/etc/a)":                           ign(`"storage":{"files":[{"path":"/etc/a","user":{"name":"a:b"}}]}`),
		"storage.files[0].path":                                    ign(`"storage":{"files":[{"path":"/etc/a\nb"}]}`),
		"storage.directories[0].overwrite (/)":                     ign(`"storage":{"directories":[{"path":"/","overwrite":true}]}`),
		"storage.filesystems[0].path":                              ign(`"storage":{"filesystems":[{"device":"/dev/vdb","format":"ext4","path":"/srv\u0001"}]}`),
		"ignition.security.tls.certificateAuthorities":             []byte(`{"ignition":{"version":"3.4.0","security":{"tls":{"certificateAuthorities":[{"source":"data:,x"}]}}}}`),
		"ignition.timeouts.httpTotal":                              []byte(`{"ignition":{"version":"3.4.0","timeouts":{"httpTotal":5}}}`),
		"ignition.config.replace: the contents are not in":         []byte(`{"ignition":{"version":"3.4.0","config":{"replace":{"source":"https://example.org/c.ign"}}}}`),
		"ignition.config.merge[0]: the contents are not in":        []byte(`{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"https://example.org/c.ign"}]}}}`),
		"passwd.users[0].shouldExist (core)":                       ign(`"passwd":{"users":[{"name":"core","shouldExist":false}]}`),
		"passwd.groups[0].gid (crew)":                              ign(`"passwd":{"groups":[{"name":"crew","gid":7}]}`),
		"systemd.units[0].name":                                    ign(`"systemd":{"units":[{"name":"../a.service"}]}`),
		"storage.files[0].contents (/etc/a): contents have hash":   ign(`"storage":{"files":[{"path":"/etc/a","contents":{"source":"data:,x","verification":{"hash":"sha256-` + strings.Repeat("0", 64) + `"}}}]}`),
		"storage.files[0].contents (/etc/a): decompress data URL:": ign(`"storage":{"files":[{"path":"/etc/a","contents":{"source":"data:,x","compression":"gzip"}}]}`),
	} {
		t.Run(want, func(t *testing.T) {
			if out, err := CloudInit(in); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v\n%s", err, out)
			}
		})
	}
}

func TestCloudInitReportsEverythingAtOnce(t *testing.T) {
	_, err := CloudInit(ign(`"kernelArguments":{"shouldExist":["quiet"]},"storage":{"raid":[{"name":"r","level":"raid1","devices":["/dev/vdb"]}],"disks":[{"device":"/dev/vda"}]}`))
	invalid, ok := errors.AsType[*Invalid](err)
	if !ok || len(invalid.Problems) != 3 {
		t.Errorf("got %v, want three problems", err)
	}
}

// TestNestedConfigsAreFollowed: what Ignition would merge or replace with is
// what cloud-init writes.
func TestNestedConfigsAreFollowed(t *testing.T) {
	merged := `{"ignition":{"version":"3.4.0","config":{"merge":[{"source":"data:;base64,` +
		"eyJpZ25pdGlvbiI6eyJ2ZXJzaW9uIjoiMy4zLjAifSwic3RvcmFnZSI6eyJmaWxlcyI6W3sicGF0aCI6Ii9ldGMvYSIsImNvbnRlbnRzIjp7InNvdXJjZSI6ImRhdGE6LGNoaWxkIn19XX19" +
		`"}]}},"storage":{"files":[{"path":"/etc/a","mode":384,"contents":{"source":"data:,parent"}},{"path":"/etc/b","contents":{"source":"data:,b"}}]}}`
	out, err := CloudInit([]byte(merged))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"path: /etc/a\n    permissions: \"0600\"\n    owner: root:root\n    content: \"child\"", "path: /etc/b"} {
		if !bytes.Contains(out, []byte(want)) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestDisksAreNeverLost runs the script on files that stand for devices.
func TestDisksAreNeverLost(t *testing.T) {
	mkfs := testtool.Path(t, "mkfs.ext4")
	testtool.Path(t, "wipefs")
	for name, c := range map[string]struct {
		prepare func(device string) *exec.Cmd
		fs      string
		ok      bool
		label   string
	}{
		"blank":           {nil, `"format":"ext4","label":"data"`, true, "data"},
		"ours":            {func(d string) *exec.Cmd { return exec.Command(mkfs, "-q", "-L", "data", d) }, `"format":"ext4","label":"data"`, true, "data"},
		"another label":   {func(d string) *exec.Cmd { return exec.Command(mkfs, "-q", "-L", "mine", d) }, `"format":"ext4","label":"data"`, false, "mine"},
		"another format":  {func(d string) *exec.Cmd { return exec.Command(mkfs, "-q", "-L", "mine", d) }, `"format":"swap"`, false, "mine"},
		"wiped":           {func(d string) *exec.Cmd { return exec.Command(mkfs, "-q", "-L", "mine", d) }, `"format":"ext4","label":"data","wipeFilesystem":true`, true, "data"},
		"partition table": {func(d string) *exec.Cmd { return sfdisk(d) }, `"format":"ext4","label":"data"`, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			device := filepath.Join(t.TempDir(), "device")
			if err := os.WriteFile(device, make([]byte, 8<<20), 0o600); err != nil {
				t.Fatal(err)
			}
			if c.prepare != nil {
				if out, err := c.prepare(device).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			before, _ := os.ReadFile(device)
			config, err := expand(ign(`"storage":{"filesystems":[{"device":"` + device + `",` + c.fs + `}]}`))
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("sh", "-euc", disksScript(config.Storage.Filesystems)).CombinedOutput()
			if (err == nil) != c.ok {
				t.Errorf("%v: %s", err, out)
			}
			after, _ := os.ReadFile(device)
			if keep := !c.ok || name == "ours"; keep && !bytes.Equal(before, after) {
				t.Error("the device was changed")
			}
			label, _ := exec.Command("blkid", "-p", "-s", "LABEL", "-o", "value", device).Output()
			if got := strings.TrimSpace(string(label)); got != c.label {
				t.Errorf("label %q, want %q", got, c.label)
			}
		})
	}
}

func sfdisk(device string) *exec.Cmd {
	c := exec.Command("sfdisk", "-q", device)
	c.Stdin = strings.NewReader("label: gpt\n,1MiB\n")
	return c
}

// FuzzCloudInit: no Ignition config makes the conversion panic, and whatever
// converts is a cloud-config whose files decode.
func FuzzCloudInit(f *testing.F) {
	doc := worker()
	for _, variant := range [][2]string{{"flatcar", "1.1.0"}, {"fcos", "1.6.0"}} {
		doc.Variant, doc.Version = variant[0], variant[1]
		f.Add(mustRender(f, doc, Options{Format: FormatIgnition}).Data)
	}
	for _, part := range []string{
		`"storage":{"files":[{"path":"/etc/a","append":[{"source":"data:,x"}]}],"links":[{"path":"/a","target":"b","hard":true}]}`,
		`"systemd":{"units":[{"name":"a@b.service","enabled":false,"mask":false,"dropins":[{"name":"x.conf"}]}]}`,
		`"storage":{"filesystems":[{"device":"/dev/vdb","format":"vfat","uuid":"A1B2-C3D4","mountOptions":["ro"],"path":"/srv"}]}`,
		`"passwd":{"users":[{"name":"core","sshAuthorizedKeys":["k"]}],"groups":[{"name":"g"}]}`,
	} {
		f.Add(ign(part))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := CloudInit(in)
		if err != nil {
			return
		}
		var tree map[string]any
		if err := yaml.Unmarshal(out, &tree); err != nil || !bytes.HasPrefix(out, []byte("#cloud-config\n")) {
			t.Fatalf("%v\n%s", err, out)
		}
		if users, ok := tree["users"].([]any); !ok || len(users) == 0 {
			t.Fatalf("no list of users, which would make the distribution's own\n%s", out)
		}
		if _, err := Files(out); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	})
}
