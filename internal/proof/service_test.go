package proof

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// startUnit does with a rendered unit what systemd would: the environment file,
// the commands before, the program itself, and the commands after it. A machine
// of these tests has no systemd; what systemd says of the unit is another test.
func (m *machine) startUnit(t *testing.T, root, name string) {
	t.Helper()
	unit := parseUnit(t, filepath.Join(root, "etc/systemd/system", name))
	environment := ""
	for _, file := range unit["EnvironmentFile"] {
		environment += "set -a; . " + file + "; set +a; "
	}
	for _, command := range unit["ExecStartPre"] {
		m.unitCommand(t, environment, command)
	}
	for _, command := range unit["ExecStart"] {
		if unit["Type"][0] == "oneshot" {
			m.unitCommand(t, environment, command)
		} else {
			m.start(t, name+".log", "sh", "-c", environment+"exec "+command)
		}
	}
	for _, command := range unit["ExecStartPost"] {
		m.unitCommand(t, environment, command)
	}
}

// unitCommand runs one command line of a unit; a dash before it forgives failure.
func (m *machine) unitCommand(t *testing.T, environment, command string) {
	t.Helper()
	command, forgiven := strings.CutPrefix(command, "-")
	if _, err := m.try("sh", "-ec", environment+command); err != nil && !forgiven {
		t.Fatal(err)
	}
}

// parseUnit reads the [Service] section of a unit.
func parseUnit(t *testing.T, path string) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, service, ok := strings.Cut(string(data), "[Service]\n")
	if !ok {
		t.Fatalf("%s has no [Service]", path)
	}
	return section(service)
}

// section reads key=value lines up to the next section.
func section(text string) map[string][]string {
	out := map[string][]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			break
		}
		if key, value, ok := strings.Cut(line, "="); ok && line[0] != '#' && line[0] != ';' {
			out[strings.TrimSpace(key)] = append(out[strings.TrimSpace(key)], strings.TrimSpace(value))
		}
	}
	return out
}

// pod is the part of a static pod that decides how its program runs.
type pod struct {
	Metadata struct{ Name string }
	Spec     struct {
		HostNetwork bool `yaml:"hostNetwork"`
		Containers  []struct {
			Command         []string
			SecurityContext struct {
				RunAsUser    *int `yaml:"runAsUser"`
				RunAsGroup   *int `yaml:"runAsGroup"`
				Capabilities struct{ Add, Drop []string }
			} `yaml:"securityContext"`
			VolumeMounts []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name     string
			HostPath *struct{ Path, Type string } `yaml:"hostPath"`
		}
	}
}

// startPod runs the command line of a rendered static pod as the kubelet would:
// in the host's network, as its user, with its capabilities and no others. No
// image and no file system of its own are involved: the mounts must be at the
// same path on both sides, which is checked, and exist.
func (m *machine) startPod(t *testing.T, root, name string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "etc/kubernetes/manifests", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	m.startManifest(t, name, string(data))
}

func (m *machine) startManifest(t *testing.T, name, manifest string) {
	t.Helper()
	var p pod
	if err := yaml.Unmarshal([]byte(manifest), &p); err != nil {
		t.Fatal(err)
	}
	if !p.Spec.HostNetwork || len(p.Spec.Containers) != 1 || len(p.Spec.Containers[0].Command) == 0 {
		t.Fatalf("%s: not one container with a command in the host's network", name)
	}
	container := p.Spec.Containers[0]
	mounts := map[string]string{}
	for _, v := range container.VolumeMounts {
		mounts[v.Name] = v.MountPath
	}
	for _, v := range p.Spec.Volumes {
		if v.HostPath == nil {
			continue
		}
		if mounts[v.Name] != v.HostPath.Path {
			t.Fatalf("%s: volume %s is %s in the container and %s on the node", name, v.Name, mounts[v.Name], v.HostPath.Path)
		}
		if v.HostPath.Type == "DirectoryOrCreate" {
			m.run(t, "mkdir", "-p", v.HostPath.Path)
		}
		m.run(t, "test", "-e", v.HostPath.Path)
	}
	limits := capabilities(t, container.SecurityContext.Capabilities.Drop, container.SecurityContext.Capabilities.Add)
	if user := container.SecurityContext.RunAsUser; user != nil && *user != 0 {
		limits = append(limits, "--reuid="+strconv.Itoa(*user), "--regid="+strconv.Itoa(*container.SecurityContext.RunAsGroup), "--clear-groups")
	}
	program := append([]string{}, container.Command...)
	if program[0] == "etcd" {
		program[0] = programs + "etcd"
	}
	m.start(t, name+".log", append(append([]string{"setpriv", "--no-new-privs"}, limits...), program...)...)
}

// capabilities are setpriv's arguments for a container's.
func capabilities(t *testing.T, drop, add []string) []string {
	t.Helper()
	if len(drop) != 1 || drop[0] != "ALL" {
		t.Fatalf("drops the capabilities %q, want ALL", drop)
	}
	set := "-all"
	for _, c := range add {
		set += ",+" + strings.ToLower(c)
	}
	return []string{"--bounding-set=" + set, "--inh-caps=" + set, "--ambient-caps=" + set}
}

// wireguardConfig translates a networkd .netdev for `wg setconf`: networkd
// cannot run here, and both name the same things.
func wireguardConfig(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i, part := range strings.Split(string(data), "[WireGuard") {
		if i == 0 {
			continue
		}
		title, body, _ := strings.Cut(part, "]\n")
		fmt.Fprintf(&out, "[%s]\n", map[string]string{"": "Interface", "Peer": "Peer"}[title])
		for key, values := range section(body) {
			for _, v := range values {
				fmt.Fprintf(&out, "%s = %s\n", key, v)
			}
		}
	}
	return out.String()
}
