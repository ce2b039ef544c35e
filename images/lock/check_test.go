package lock

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// stored is the golden of a Flatcar cluster, with its fingerprint's stand-in.
func stored(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/flatcar.lock")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever is missing, superfluous or of another version is said, with its line.
func TestCheckNamesEveryDifference(t *testing.T) {
	line := func(text string) int {
		before, _, ok := bytes.Cut(stored(t), []byte(text))
		if !ok {
			t.Fatalf("the golden has no %q", text)
		}
		return bytes.Count(before, []byte("\n")) + 1
	}
	for _, tc := range []struct {
		name string
		w    func(*Wanted)
		want []string
	}{
		{"as it is", func(*Wanted) {}, nil},
		{"version", func(w *Wanted) { w.Kubernetes = "1.36.4" }, []string{
			fmt.Sprintf("%d: kubernetes: the lock is for 1.36.3, and the cluster file asks for 1.36.4", line("kubernetes: 1.36.3")),
			fmt.Sprintf("%d: programs.kubectl: it is version 1.36.3, and the cluster file asks for 1.36.4", line("- name: kubectl")),
			fmt.Sprintf("%d: programs.kubelet: it is version 1.36.3, and the cluster file asks for 1.36.4", line("- name: kubelet"))}},
		{"cluster", func(w *Wanted) { w.Cluster = "sulaco" }, []string{fmt.Sprintf("%d: cluster: the lock is for nostromo, and the cluster file asks for sulaco", line("cluster: nostromo"))}},
		{"system", func(w *Wanted) { w.OS = OS{"fcos", "stable"} }, []string{
			fmt.Sprintf("%d: os: the lock is for flatcar stable, and the cluster file asks for fcos stable", line("os:")),
			fmt.Sprintf("%d: base: the signature over the image is missing", line("base:"))}},
		{"a version of the system", func(w *Wanted) { w.OS = OS{"flatcar", "4593.2.0"} }, []string{
			fmt.Sprintf("%d: os: the lock is for flatcar stable, and the cluster file asks for flatcar 4593.2.0", line("os:")),
			fmt.Sprintf("%d: base: it is version 4459.2.1, and os.channel asks for 4593.2.0", line("base:"))}},
		{"no base", func(w *Wanted) { w.OS = OS{"ubuntu", "24.04"} }, []string{
			fmt.Sprintf("%d: os: the lock is for flatcar stable, and the cluster file asks for ubuntu 24.04", line("os:")),
			fmt.Sprintf("%d: base: the catalogue has no base for ubuntu, so nothing can be baked from this one", line("base:"))}},
		{"containerd", func(w *Wanted) { w.Containerd = true }, []string{
			fmt.Sprintf("%d: programs.containerd: it is missing", line("programs:")), fmt.Sprintf("%d: programs.runc: it is missing", line("programs:"))}},
		{"a new image", func(w *Wanted) { w.Images = append(w.Images, "quay.io/a/b:1") }, []string{
			fmt.Sprintf("%d: images.quay.io/a/b:1: a manifest names it and the lock does not have it", line("images:"))}},
		{"an image less", func(w *Wanted) { w.Images = w.Images[:3] }, []string{
			fmt.Sprintf("%d: images.docker.io/library/haproxy:3.2.22: no manifest names it", line("- name: docker.io/library/haproxy"))}},
		{"an image of one's own", func(w *Wanted) { w.Made = nil }, []string{
			fmt.Sprintf("%d: images.imgforge/keepalived:2.2.7: the lock has no digest of it", line("- name: imgforge/keepalived"))}},
		{"packages", func(w *Wanted) {
			w.Packages = map[string][]string{"keepalived": {"keepalived"}, "sysext": {"ethtool", "tinc"}}
		}, []string{
			fmt.Sprintf("%d: debian.wanted: the packages of the lock were resolved for keepalived: keepalived; sysext: tinc, and the cluster file asks for keepalived: keepalived; sysext: ethtool, tinc", line("  wanted:")),
			fmt.Sprintf("%d: debian.packages.ethtool: it is missing for sysext", line("  packages:\n    - name: iproute"))}},
		{"no packages", func(w *Wanted) { w.Packages = nil }, append([]string{
			fmt.Sprintf("%d: debian.wanted: the packages of the lock were resolved for keepalived: keepalived; sysext: tinc, and the cluster file asks for nothing", line("  wanted:"))}, nil...)},
	} {
		l, err := Decode(stored(t))
		if err != nil {
			t.Fatal(err)
		}
		w := wantedCluster()
		tc.w(&w)
		var got []string
		for _, p := range l.Check(w) {
			got = append(got, fmt.Sprintf("%d: %s: %s", p.Line, p.Path, p.Message))
		}
		if tc.name == "no packages" {
			if len(got) < 7 || got[0] != tc.want[0] || !strings.HasSuffix(got[1], "debian.packages.iproute: nothing needs it for keepalived") {
				t.Errorf("%s: %q", tc.name, got)
			}
			continue
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got\n%s\nwanted\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, tc := range []struct{ old, new, want string }{
		{"imgforge/lock/v1", "imgforge/lock/v2", `line 4: schema "imgforge/lock/v2" is not imgforge/lock/v1`},
		{"arch: amd64", "arch: amd64\narhc: amd64", "field arhc not found"},
		{"- name: kubectl\n", "- name: kubelet\n", "programs.kubelet: it is there twice"},
		{"digest: sha512:", "digest: sha512:0", "base: \"sha512:0"},
		{"url: https://dl", "url: ftp://dl", "programs.kubectl: \"ftp://dl"},
		{"size: 63000", "size: -1", "programs.kubectl: -1 is no size"},
		{"    made: true\n", "    made: true\n    manifest: sha256:00\n", "images.imgforge/keepalived:2.2.7: what imgforge makes has no digest"},
		{"    manifest: sha256:", "    manifest: md5:", "images.docker.io/library/haproxy:3.2.22: \"md5:"},
		{"cluster: nostromo", "cluster: nostromo\n---\ncluster: other", ""},
		{"cluster: nostromo", "cluster: [", ""},
	} {
		text := strings.Replace(string(stored(t)), tc.old, tc.new, 1)
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v", tc.new, err)
		}
	}
	if _, err := Decode(append(stored(t), "---\nschema: imgforge/lock/v1\n"...)); err == nil || !strings.Contains(err.Error(), "more than one document") {
		t.Errorf("%v", err)
	}
	if _, err := Decode(nil); err == nil {
		t.Error("nothing at all is a lock")
	}
}

// Whatever decodes can be compared with a cluster file.
func FuzzDecode(f *testing.F) {
	f.Add(stored(f))
	f.Add([]byte("schema: imgforge/lock/v1\nprograms: [{}]\nimages: [{name: a.b.c}]\ndebian: {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := Decode(data)
		if err != nil {
			return
		}
		l.Check(wantedCluster())
		if _, err := l.Encode(); err != nil {
			t.Error(err)
		}
	})
}
