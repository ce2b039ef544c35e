package testtool

import (
	"os/exec"
	"strings"
	"testing"
)

// Every pinned program is built and answers; a wrong package path or a go.sum
// with a gap shows here first.
func TestPinnedProgramsRun(t *testing.T) {
	for _, tc := range []struct {
		name, arg, want string
	}{
		{"ignition", "--version", "Ignition"},
		{"ignition-validate", "--version", "Ignition"},
		{"butane", "--version", "Butane"},
		{"cfssl", "version", "Version:"},
		{"cfssljson", "-help", "-bare"},
		{"wireguard-go", "--version", "wireguard-go"},
		{"etcd", "--version", "etcd Version: 3.6"},
		{"etcd-3.7", "--version", "etcd Version: 3.7"},
		{"etcdctl", "version", "etcdctl version: 3.6"},
		{"containerd", "--version", "containerd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// Exit codes of --version and -help differ between the programs: what they print counts.
			out, _ := exec.Command(Path(t, tc.name), tc.arg).CombinedOutput()
			if !strings.Contains(string(out), tc.want) {
				t.Errorf("%s %s printed %q, want it to hold %q", tc.name, tc.arg, out, tc.want)
			}
		})
	}
}

func TestStrictDecoding(t *testing.T) {
	program := Path(t, "k8s-strict")
	for _, tc := range []struct {
		name, in, out, err string
	}{
		{name: "pod and config", out: "Pod/a\nKubeletConfiguration\nConfig\n",
			in: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: true}\n---\n# nothing\n---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 3\n---\napiVersion: v1\nkind: Config\ncurrent-context: x\n"},
		{name: "unknown field", in: "apiVersion: v1\nkind: Pod\nspec: {hostNetwrk: true}\n", err: `unknown field "spec.hostNetwrk"`},
		{name: "duplicate field", in: "apiVersion: v1\nkind: Pod\nkind: Pod\n", err: `key "kind" already set`},
		{name: "wrong type", in: "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: many\n", err: "maxPods"},
		{name: "unknown kind", in: "apiVersion: v1\nkind: Pood\n", err: `no kind "Pood"`},
		{name: "nothing", in: "# only a comment\n", err: "no document"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Stdin = strings.NewReader(tc.in)
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if tc.err == "" && (err != nil || string(out) != tc.out) {
				t.Errorf("printed %q, %v %s; want %q", out, err, &stderr, tc.out)
			}
			if tc.err != "" && (err == nil || !strings.Contains(stderr.String(), tc.err)) {
				t.Errorf("error %v %q, want %q in it", err, &stderr, tc.err)
			}
		})
	}
}

func TestMissingProgram(t *testing.T) {
	for _, tc := range []struct {
		ci, want string
	}{{"", "skipped"}, {"true", "failed"}} {
		t.Setenv("CI", tc.ci)
		t.Setenv("IMGFORGE_REQUIRE_TOOLS", "")
		r := recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Path(&r, "no-such-program")
		}()
		<-done
		if r.outcome != tc.want || !strings.Contains(r.text, "no-such-program") {
			t.Errorf("CI=%q: %s %q, want %s with the name", tc.ci, r.outcome, r.text, tc.want)
		}
	}
}
