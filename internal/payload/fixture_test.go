package payload

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/golden/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from its golden; look at the change and run go test -update\n--- got\n%s", name, got)
	}
}

const service = "[Unit]\nDescription=a service\n[Service]\nExecStart=/usr/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"

// worker is a role document with everything that profiles use.
func worker() *Document {
	yes, no := true, false
	return &Document{
		Target: "worker", Role: "worker", Variant: "flatcar", Version: "1.1.0",
		Directories: []Directory{{Path: "/etc/kubernetes/pki", Mode: 0o700}, {Path: "/etc/kubernetes"}, {Path: "/var/lib/etcd", Mode: 0o700}},
		Files: []artifact.File{
			{Path: "/etc/hostname", Contents: []byte("worker-1\n")},
			{Path: "/etc/kubernetes/pki/ca.crt", Contents: []byte(strings.Repeat("certificate\n", 40))},
			{Path: "/etc/kubernetes/pki/ca.key", Mode: 0o600, Secret: true, Contents: []byte("  leading space\n\ttab \"quotes\" it's $HOME\n")},
			{Path: "/etc/imgforge/binary", Mode: 0o640, Group: "adm", Contents: []byte{0, 0xff, '\n', 0x80}},
			{Path: "/etc/imgforge/empty"},
			{Path: "/etc/imgforge/unicode", Contents: []byte("Zürich – y\nno\n1:30\n")},
			{Path: "/opt/bin/tool", Mode: 0o755, User: "1234", Group: "4321", Contents: []byte("#!/bin/sh\necho hi\n")},
			{Path: "/etc/systemd/network/wg0.netdev", Mode: 0o640, Group: "mail", Contents: []byte("[NetDev]\nName=wg0\n")},
			{Path: "/etc/sysctl.d/90-kube.conf", Contents: []byte("net.ipv4.ip_forward = 1\n")},
			{Path: "/etc/in-the-way/link", Contents: []byte("a file where a link was\n")},
			{Path: "/etc/in-the-way/folder", Contents: []byte("a file where a folder was\n")},
		},
		Links: []Link{{Path: "/etc/localtime", Target: "../usr/share/zoneinfo/Europe/Paris"}, {Path: "/etc/deep/er/link", Target: "/etc/hostname"}},
		Units: []Unit{
			{Name: "imgforge-claim.service", Enabled: &yes, Contents: service},
			{Name: "alias.service", Enabled: &yes, Contents: service},
			{Name: "wg-quick@.service", Contents: service},
			{Name: "victim.service", Enabled: &no},
			{Name: "absent.service", Enabled: &no},
			{Name: "sshd.service", Mask: true},
			{Name: "containerd.service", Enabled: &yes, Dropins: []Dropin{
				{Name: "10-imgforge.conf", Contents: "[Service]\nLimitNOFILE=1048576\n"}, {Name: "20-empty.conf"}}},
		},
		Slots: []artifact.Slot{
			{Node: "worker-1", Match: []string{"worker-1"}, Files: []artifact.File{{Path: "/etc/imgforge/node.json", Mode: 0o600, Contents: []byte("{}\n")}}},
			{Node: "worker-2", Match: []string{"worker-2"}, Files: []artifact.File{{Path: "/etc/imgforge/node.json", Mode: 0o600, Contents: []byte("{ }\n")}}},
		},
	}
}

// mustRender renders without a budget.
func mustRender(t testing.TB, doc *Document, o Options) *Payload {
	t.Helper()
	p, err := Render(doc, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
