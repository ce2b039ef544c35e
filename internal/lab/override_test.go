package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const unit = "[Unit]\nDescription=x\n\n[Service]\nExecStart=/usr/bin/kubelet \\\n  --config=/a \\\n  --node-ip=${ADDRESS}\nRestart=always\n"

// The kubelet's command stays as rendered, with one argument more.
func TestOverrideOnlyAdds(t *testing.T) {
	root := t.TempDir()
	if err := override(root, []byte(unit)); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, kubeletDropIn))
	want := "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet \\\n  --config=/a \\\n  --node-ip=${ADDRESS} \\\n  --config-dir=/etc/imgforge-lab/kubelet.d\n"
	if err != nil || string(got) != want {
		t.Errorf("drop-in:\n%s%v, want:\n%s", got, err, want)
	}
	listed, err := Overrides()
	if err != nil {
		t.Fatal(err)
	}
	for _, added := range listed {
		if _, err := os.Stat(filepath.Join(root, added)); err != nil {
			t.Errorf("listed but not added: %v", err)
		}
	}
	if !slices.Contains(listed, "/etc/containerd/conf.d/imgforge-lab.toml") {
		t.Errorf("containerd's settings are not listed: %q", listed)
	}
	if err := override(root, []byte(unit)); err == nil || !strings.Contains(err.Error(), "the lab would replace") {
		t.Errorf("a second time: %v, want a refusal to replace", err)
	}
}
