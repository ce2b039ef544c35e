package images

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

const (
	userData   = `{"ignition": {"version": "3.4.0"}}`
	instanceID = "5a0b5d0e-4b1c-8d3f-9a67-2c1d0e4f5a6b"
)

func configDrive(w io.Writer) error { return ConfigDrive(w, []byte(userData), "master-1", instanceID) }

func ciData(w io.Writer) error { return CIData(w, []byte(userData), "master-1", instanceID, nil) }

// probe asks libblkid, which udev asks, and so /dev/disk/by-label.
func probe(t *testing.T, iso string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(run(t, "blkid", "-p", "-o", "export", iso)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[key] = value
		}
	}
	return out
}

func TestDrivesAreFoundByLabel(t *testing.T) {
	for label, write := range map[string]func(io.Writer) error{"config-2": configDrive, "cidata": ciData} {
		got := probe(t, image(t, write))
		if got["LABEL"] != label || got["TYPE"] != "iso9660" || got["USAGE"] != "filesystem" {
			t.Errorf("blkid sees %v, want the label %s", got, label)
		}
	}
}

// The listings and the small files are the promise to the readers of the drives.
func TestDriveContents(t *testing.T) {
	for name, drive := range map[string]struct {
		write func(io.Writer) error
		files []string
	}{
		"config-2.txt": {configDrive, []string{"openstack/latest/meta_data.json", "openstack/latest/user_data"}},
		"cidata.txt":   {ciData, []string{"meta-data", "network-config", "user-data"}},
	} {
		iso := image(t, drive.write)
		var b strings.Builder
		b.WriteString(run(t, "isoinfo", "-R", "-l", "-i", iso))
		dir := extract(t, iso)
		for _, f := range drive.files {
			data, err := os.ReadFile(filepath.Join(dir, f))
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString("\n--- " + f + "\n" + strings.TrimRight(string(data), "\n") + "\n")
		}
		golden(t, name, strings.TrimLeft(b.String(), "\n"))
	}
}

func TestDrivesAreReproducible(t *testing.T) {
	for _, write := range []func(io.Writer) error{configDrive, ciData} {
		var a, b bytes.Buffer
		if err := write(&a); err != nil {
			t.Fatal(err)
		}
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Error("two drives of one node differ")
		}
	}
}

// cloud-init's own readers find all they need on the extracted drives.
func TestCloudInitReadsDrives(t *testing.T) {
	python := interpreter(t)
	for _, tt := range []struct {
		name, program string
		write         func(io.Writer) error
	}{
		{"config-2", `from cloudinit.sources.DataSourceConfigDrive import read_config_drive
d = read_config_drive(sys.argv[1])
print(d["metadata"]["instance-id"], d["metadata"]["hostname"], d["userdata"].decode())`, configDrive},
		{"cidata", `from cloudinit import util
d = util.pathprefix2dict(sys.argv[1] + "/", required=["user-data", "meta-data"], optional=["network-config"])
m = util.load_yaml(d["meta-data"])
assert util.load_yaml(d["network-config"])["version"] == 2
print(m["instance-id"], m["local-hostname"], d["user-data"].decode())`, ciData},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := extract(t, image(t, tt.write))
			got := run(t, python, "-c", "import sys\n"+tt.program, dir)
			if want := instanceID + " master-1 " + userData + "\n"; got != want {
				t.Errorf("cloud-init reads %q, want %q", got, want)
			}
		})
	}
}

// interpreter is the Python that cloud-init runs in.
func interpreter(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(testtool.Path(t, "cloud-init"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(script), "\n")
	return strings.TrimSpace(strings.TrimPrefix(line, "#!"))
}

// cloud-init itself turns network-config into what netplan reads.
func TestCloudInitReadsNetworkConfig(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "network-config")
	if err := os.WriteFile(in, []byte(DefaultNetwork), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "cloud-init", "devel", "net-convert", "--network-data", in, "--kind", "yaml", "--output-kind", "netplan", "--distro", "ubuntu", "--directory", dir)
	got, err := os.ReadFile(filepath.Join(dir, "etc/netplan/50-cloud-init.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dhcp4: true", "name: e*"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("netplan gets no %q:\n%s", want, got)
		}
	}
}
