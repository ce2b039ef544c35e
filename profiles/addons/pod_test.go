//go:build lab

package addons

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/internal/testtool"
)

// pod is a container of a rendered workload as a plain process: in the node's
// network, with files, arguments, variables and capabilities as the manifest says.
type pod struct {
	b       *bench
	name    string
	script  string
	hook    []string
	process *exec.Cmd
}

type container struct {
	Name          string
	Command, Args []string
	Env           []struct {
		Name, Value string
		ValueFrom   struct{ FieldRef struct{ FieldPath string } }
	}
	VolumeMounts    []struct{ Name, MountPath string }
	SecurityContext struct{ Capabilities struct{ Add []string } }
	Lifecycle       struct {
		PostStart struct{ Exec struct{ Command []string } }
	}
}

type workload struct {
	Spec struct {
		Template struct {
			Spec struct {
				ServiceAccountName string
				Containers         []container
				Volumes            []struct {
					Name      string
					ConfigMap struct{ Name string }
					Secret    struct{ SecretName string }
				}
			}
		}
	}
}

// pod takes a container from an add-on's workload and puts one of our programs
// in its place.
func (b *bench) pod(addon, name, program string) *pod {
	b.t.Helper()
	w, namespace, files := b.workload(addon)
	spec := w.Spec.Template.Spec
	for _, c := range spec.Containers {
		if c.Name != name {
			continue
		}
		root := b.t.TempDir()
		for _, m := range c.VolumeMounts {
			for _, v := range spec.Volumes {
				if v.Name == m.Name {
					b.write(filepath.Join(root, m.MountPath), files[v.ConfigMap.Name+v.Secret.SecretName])
				}
			}
		}
		b.write(filepath.Join(root, "run/secrets/kubernetes.io/serviceaccount"), map[string][]byte{
			"token": []byte(strings.TrimSpace(b.must("", "create", "token", spec.ServiceAccountName, "--namespace", namespace))), "ca.crt": b.read("ca.crt"),
		})
		b.write(filepath.Join(root, "etc"), map[string][]byte{"resolv.conf": []byte("nameserver 192.0.2.1\n")})
		return &pod{b: b, name: name, script: b.script(c, root, testtool.Path(b.t, program)), hook: c.Lifecycle.PostStart.Exec.Command}
	}
	b.t.Fatalf("add-on %s has no container %s", addon, name)
	return nil
}

// workload is an add-on's DaemonSet or Deployment, and the files of its ConfigMaps and Secrets.
func (b *bench) workload(addon string) (w workload, namespace string, files map[string]map[string][]byte) {
	b.t.Helper()
	files = map[string]map[string][]byte{}
	for _, a := range b.addons {
		if a.Name != addon {
			continue
		}
		for _, o := range a.Objects {
			switch o.Kind {
			case "DaemonSet", "Deployment":
				namespace = o.Namespace
				if err := json.Unmarshal(o.JSON, &w); err != nil {
					b.t.Fatal(err)
				}
			case "ConfigMap":
				files[o.Name] = map[string][]byte{}
				for file, text := range data(b.t, o) {
					files[o.Name][file] = []byte(text)
				}
			case "Secret":
				var s struct{ Data map[string][]byte }
				if err := json.Unmarshal(o.JSON, &s); err != nil {
					b.t.Fatal(err)
				}
				files[o.Name] = s.Data
			}
		}
	}
	return w, namespace, files
}

// script makes the container's file system out of the machine's, in a mount
// namespace of its own: nothing of it outlives the program.
func (b *bench) script(c container, root, program string) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("set -e")
	line("alternatives=$(mktemp -d -p %s)", b.dir)
	line("cp -a /etc/alternatives $alternatives")
	for _, dir := range []string{"etc", "run", "var/lib"} {
		line("mount -t tmpfs none /%s", dir)
		line("if [ -d %s/%s ]; then cp -a %s/%s/. /%s/; fi", root, dir, root, dir, dir)
	}
	line("cp -a $alternatives/alternatives /etc/")
	line("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys")
	values := map[string]string{"spec.nodeName": nodeName, "status.hostIP": nodeIP}
	fill := []string{}
	for _, e := range c.Env {
		value := e.Value + values[e.ValueFrom.FieldRef.FieldPath]
		line("export %s='%s'", e.Name, value)
		fill = append(fill, "$("+e.Name+")", value)
	}
	args := c.Args
	if len(c.Command) > 0 {
		args = append(c.Command[1:], args...)
	}
	caps := "-all"
	for _, name := range c.SecurityContext.Capabilities.Add {
		caps += ",+" + strings.ToLower(name)
	}
	words := strings.NewReplacer(fill...).Replace("'" + strings.Join(args, "' '") + "'")
	line("exec setpriv --bounding-set=%s --no-new-privs %s %s", caps, program, words)
	return s.String()
}

func (p *pod) start() {
	p.b.t.Helper()
	p.process = p.b.spawn(p.b.in("unshare", "--mount", "sh", "-c", p.script))
}

// command runs beside the container's program, in its file system and network.
func (p *pod) command(words ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--mount", "--net", "--target", fmt.Sprint(p.process.Process.Pid), "--"}, words...)...)
}

func (p *pod) inside(words ...string) (string, error) {
	out, err := p.command(words...).CombinedOutput()
	return string(out), err
}

// spawn starts a program that ends with the test. What it prints is shown when
// the test has failed.
func (b *bench) spawn(cmd *exec.Cmd) *exec.Cmd {
	b.t.Helper()
	log, err := os.CreateTemp(b.t.TempDir(), "log")
	if err != nil {
		b.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if text, _ := os.ReadFile(log.Name()); b.t.Failed() {
			b.t.Logf("%s\n%s", strings.Join(cmd.Args, " "), text[max(0, len(text)-6000):])
		}
		log.Close()
	})
	return cmd
}

func (b *bench) write(dir string, files map[string][]byte) {
	b.t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) read(name string) []byte {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}
