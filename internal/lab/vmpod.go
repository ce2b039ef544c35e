package lab

import (
	"context"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// staticPod is what the lab reads of a manifest.
type staticPod struct {
	Metadata struct{ Name string }
	Spec     struct {
		Containers []struct {
			Image           string
			Command         []string
			SecurityContext struct {
				Capabilities struct{ Add []string }
			} `yaml:"securityContext"`
			VolumeMounts []struct {
				Name      string
				MountPath string `yaml:"mountPath"`
				ReadOnly  bool   `yaml:"readOnly"`
			} `yaml:"volumeMounts"`
		}
		Volumes []struct {
			Name     string
			HostPath *struct{ Path, Type string } `yaml:"hostPath"`
		}
	}
}

// podCommands run the container of a manifest as a kubelet would: its image, its
// command, its mounts, on the node's own network. Machines that are too slow for
// a kubelet run single pods so.
func podCommands(manifest []byte) (commands [][]string, err error) {
	var pod staticPod
	if err := yaml.Unmarshal(manifest, &pod); err != nil {
		return nil, err
	}
	name := pod.Metadata.Name
	if len(pod.Spec.Containers) != 1 || strings.Contains(string(manifest), "${") {
		return nil, fmt.Errorf("the manifest of %q is not one of a single container, or not filled", name)
	}
	c := pod.Spec.Containers[0]
	run := []string{"ctr", "--namespace", "k8s.io", "run", "--detach", "--net-host", "--log-uri", "file:///var/log/lab-" + name + ".log"}
	for _, capability := range c.SecurityContext.Capabilities.Add {
		run = append(run, "--cap-add", "CAP_"+capability)
	}
	// What an earlier boot left of it is in nobody's way.
	commands = append(commands, []string{"sh", "-c", "for kind in task container; do ctr --namespace k8s.io $kind rm --force lab-" + name + "; ctr --namespace k8s.io $kind rm lab-" + name + "; done 2>/dev/null; true"})
	paths := map[string]string{}
	for _, v := range pod.Spec.Volumes {
		if v.HostPath == nil {
			continue
		}
		paths[v.Name] = v.HostPath.Path
		if v.HostPath.Type == "DirectoryOrCreate" {
			commands = append(commands, []string{"mkdir", "-p", v.HostPath.Path})
		}
	}
	for _, m := range c.VolumeMounts {
		switch path, onHost := paths[m.Name]; {
		case !onHost:
			run = append(run, "--mount", "type=tmpfs,src=tmpfs,dst="+m.MountPath+",options=rw")
		case m.ReadOnly:
			run = append(run, "--mount", "type=bind,src="+path+",dst="+m.MountPath+",options=rbind:ro")
		default:
			run = append(run, "--mount", "type=bind,src="+path+",dst="+m.MountPath+",options=rbind:rw")
		}
	}
	return append(commands, append(append(run, fullName(c.Image), "lab-"+name), c.Command...)), nil
}

// fullName puts the registry before a name that has none, as a kubelet's runtime does.
func fullName(image string) string {
	if first, _, found := strings.Cut(image, "/"); found && strings.ContainsAny(first, ".:") {
		return image
	}
	return "docker.io/" + image
}

// runPod runs the pod of a manifest that lies on the machine.
func (v *VM) runPod(ctx context.Context, path string) error {
	manifest, err := v.Run(ctx, "cat", path)
	if err != nil {
		return err
	}
	commands, err := podCommands([]byte(manifest))
	if err != nil {
		return fmt.Errorf("machine %s: %s: %w", v.Name, path, err)
	}
	_, err = v.Run(ctx, "sh", "-ec", script(commands)) // at once: each look inside costs an emulated machine seconds
	return err
}

// script is commands for a shell, one per line.
func script(commands [][]string) string {
	var b strings.Builder
	for _, command := range commands {
		for _, word := range command {
			b.WriteString("'" + strings.ReplaceAll(word, "'", `'\''`) + "' ")
		}
		b.WriteByte('\n')
	}
	return b.String()
}
