package profiles

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// hostPaths reads what a manifest mounts: path to type.
func hostPaths(t *testing.T, manifest string) (mounts map[string]string, images []string) {
	t.Helper()
	var pod struct {
		Spec struct {
			Containers []struct {
				Image        string
				VolumeMounts []struct {
					Name      string
					MountPath string `yaml:"mountPath"`
				} `yaml:"volumeMounts"`
			}
			Volumes []struct {
				Name     string
				HostPath struct{ Path, Type string } `yaml:"hostPath"`
			}
		}
	}
	if err := yaml.Unmarshal([]byte(manifest), &pod); err != nil {
		t.Fatal(err)
	}
	mounts = map[string]string{}
	names := map[string]string{}
	for _, v := range pod.Spec.Volumes {
		if v.HostPath.Path == "" {
			continue
		}
		if other, ok := names[v.Name]; ok {
			t.Errorf("%s and %s are both volume %s", other, v.HostPath.Path, v.Name)
		}
		names[v.Name] = v.HostPath.Path
		mounts[v.HostPath.Path] = v.HostPath.Type
	}
	for _, c := range pod.Spec.Containers {
		images = append(images, c.Image)
	}
	return mounts, images
}

// TestStaticPodsFindTheirFiles: what a static pod mounts is on the node from
// first boot on, so that no pod waits for ever or starts on an empty folder.
func TestStaticPodsFindTheirFiles(t *testing.T) {
	made := []string{"/etc/kubernetes/tracing.yaml"} // by the user's own Butane in testdata/full.yaml
	eachRole(t, func(t *testing.T, p *plan.Plan, role string) {
		doc := nodeDocument(t, p, p.NodesOf(role)[0].Name)
		for _, f := range doc.Files {
			if path.Dir(f.Path) != manifestDir {
				continue
			}
			mounts, _ := hostPaths(t, string(f.Contents))
			for _, at := range slices.Sorted(maps.Keys(mounts)) {
				switch kind := mounts[at]; {
				case slices.Contains(made, at):
				case kind == "File" && !hasFile(doc, at):
					t.Errorf("%s mounts the file %s, which the document lacks", f.Path, at)
				case kind == "Directory" && !hasDirectory(doc, at):
					t.Errorf("%s mounts the folder %s, which the document lacks", f.Path, at)
				case kind == "DirectoryOrCreate" && strings.HasPrefix(at, "/run/"): // empty on every boot
				case kind != "File" && kind != "Directory":
					t.Errorf("%s mounts %s as %q, which the kubelet would invent", f.Path, at, kind)
				}
			}
		}
	})
}

func hasFile(doc *payload.Document, at string) bool {
	return slices.ContainsFunc(doc.Files, func(f artifact.File) bool { return f.Path == at })
}

// hasDirectory finds a folder that is declared or that a file lies in.
func hasDirectory(doc *payload.Document, at string) bool {
	return slices.ContainsFunc(doc.Directories, func(d payload.Directory) bool { return d.Path == at }) ||
		slices.ContainsFunc(doc.Files, func(f artifact.File) bool { return path.Dir(f.Path) == at })
}

// TestControlPlaneSeesItsOwnKeysOnly: a component mounts the files that its
// flags name, so that it cannot read its neighbours' keys.
func TestControlPlaneSeesItsOwnKeysOnly(t *testing.T) {
	p := full(t)
	doc := nodeDocument(t, p, "master-1")
	for _, pod := range controlPlane(p) {
		mounts, _ := hostPaths(t, contents(t, doc, manifestOf(pod.Name)))
		want := map[string]bool{}
		for _, f := range p.Kubernetes.Flags[pod.Name] {
			switch {
			case f.Name == "audit-log-path":
				want[auditLogDir] = true
			case strings.HasPrefix(f.Value, "/"):
				want[f.Value] = true
			}
			if f.Name == "kubeconfig" {
				name := strings.TrimSuffix(path.Base(f.Value), ".conf")
				want[caPath], want[pkiDir+"/"+name+".crt"], want[pkiDir+"/"+name+".key"] = true, true, true
			}
		}
		if got, want := slices.Sorted(maps.Keys(mounts)), slices.Sorted(maps.Keys(want)); !slices.Equal(got, want) {
			t.Errorf("%s mounts\n%s\nand its flags name\n%s", pod.Name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestImagesFollowThePlan: the one table decides, so that the lock and the lab
// can replace an image by its reference.
func TestImagesFollowThePlan(t *testing.T) {
	p := example(t, "single")
	changed, err := p.Images.Override(map[string]string{"etcd": "lab/etcd:1", "kube-apiserver": "lab/apiserver:1", "pause": "lab/pause:1"})
	if err != nil {
		t.Fatal(err)
	}
	p.Images = changed
	doc := nodeDocument(t, p, p.Nodes[0].Name)
	for file, want := range map[string]string{
		etcdManifestPath: "lab/etcd:1", manifestDir + "/kube-apiserver.yaml": "lab/apiserver:1", "/etc/containerd/config.toml": "lab/pause:1",
	} {
		if !strings.Contains(contents(t, doc, file), `"`+want+`"`) {
			t.Errorf("%s does not name %s", file, want)
		}
	}
}

func TestVolumeName(t *testing.T) {
	long := "/etc/kubernetes/" + strings.Repeat("a/", 40) + "b"
	for at, want := range map[string]string{
		"/etc/kubernetes/pki/etcd/ca.crt": "pki-etcd-ca-crt",
		"/var/lib/etcd":                   "var-lib-etcd",
		"/etc/kubernetes/Odd_Name":        "odd-name",
		long:                              strings.Repeat("a-", 31) + "b",
	} {
		if got := volumeName(at); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// TestMissingFlags: a plan without a component's flags is refused, because the
// component would start with its insecure defaults.
func TestMissingFlags(t *testing.T) {
	for _, component := range []string{"etcd", "kube-scheduler", "kubelet"} {
		p := example(t, "single")
		delete(p.Kubernetes.Flags, component)
		if _, err := Role(p, "master", newSecrets()); err == nil || !strings.Contains(err.Error(), "no flags for") {
			t.Errorf("%s: %v", component, err)
		}
	}
}
