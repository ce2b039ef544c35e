package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// named is a check by its name.
type named struct {
	name string
	look func(context.Context) (string, error)
}

// checkBoot makes the checks of how a control plane that is Ready came to be.
func (t *Trial) checkBoot(ctx context.Context, api *operator, v *VM) {
	t.checkAll(ctx,
		named{"Ignition wrote the payload in the initrd", v.ignited},
		named{"cgroup v2 and the systemd driver, as rendered", func(ctx context.Context) (string, error) { return v.production(ctx, api) }},
		named{"a time server set the clock, before the kubelet", v.clockSet},
		named{"kubectl with imgforge kubeconfig, from outside", func(ctx context.Context) (string, error) {
			out, err := api.kubectl(ctx, "get", "nodes", "--no-headers")
			return strings.Join(strings.Fields(out), " "), err
		}})
}

// checkMachine makes all checks of a control plane that is Ready.
func (t *Trial) checkMachine(ctx context.Context, api *operator, v *VM) {
	made, _ := t.Plan.Node(v.Name)
	t.checkBoot(ctx, api, v)
	t.checkAll(ctx,
		named{"no unit failed, and systemd has nothing to say about them", func(ctx context.Context) (string, error) {
			return "on " + v.Name, unitsOf(ctx, v.Name, v.Run)
		}},
		named{"no port is open that the plan does not name", func(ctx context.Context) (string, error) {
			out, err := v.Run(ctx, listListeners()...)
			if err != nil {
				return "", err
			}
			count, err := t.namedOnly(v.Name, made.Role, out)
			return counted(count, "listener") + ", each named by the plan", err
		}},
		named{"sshd does not run", func(ctx context.Context) (string, error) { return "no unit and no process", sshOf(ctx, v.Name, v.Run) }})
	t.checkPodsOnMachine(ctx, api)
}

// checkAll makes checks of emulated machines, one after the other.
func (t *Trial) checkAll(ctx context.Context, checks ...named) {
	for _, c := range checks {
		t.Check(ctx, c.name, boundMachineCheck, gently(c.look))
	}
}

// clockSet tells what the step before the kubelet said: Debian's own timesyncd
// had an answer of the lab's time server.
func (v *VM) clockSet(ctx context.Context) (string, error) {
	server, err := v.Run(ctx, "timedatectl", "show-timesync", "--property=ServerAddress", "--value")
	if err != nil {
		return "", err
	}
	words, err := v.words(ctx)
	if err != nil {
		return "", err
	}
	for _, w := range words {
		if w.Step == "time" && w.State == "done" {
			return fmt.Sprintf("%s, %.1f s after power-on, by %s", w.Text, w.Seconds, strings.TrimSpace(server)), nil
		}
	}
	return "", errors.New("nobody set it: the step time is not done")
}

// gently is a check that does not look again at once.
func gently(look func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (evidence string, err error) {
		err = slowly(func(ctx context.Context) (err error) {
			evidence, err = look(ctx)
			return err
		})(ctx)
		return evidence, err
	}
}

// ignited is what Ignition said of itself before the machine's own system ran.
func (v *VM) ignited(ctx context.Context) (string, error) {
	journal, err := v.Run(ctx, "journalctl", "--boot", "--no-pager", "--output=cat", "--identifier=ignition")
	if err != nil {
		return "", err
	}
	var stages []string
	for line := range strings.Lines(journal) {
		if stage, ok := strings.CutPrefix(strings.TrimSpace(line), "Stage: "); ok {
			stages = append(stages, stage)
		}
	}
	files := strings.Count(journal, "[finished] writing file")
	if files == 0 || !strings.Contains(journal, "Ignition finished successfully") {
		return "", errors.New("it did not finish: see the journal")
	}
	return fmt.Sprintf("stages %s; %s written", strings.Join(stages, ", "), counted(files, "file")), nil
}

// checkPodsOnMachine shows that the add-ons work: a pod runs, resolves names and reaches a Service.
func (t *Trial) checkPodsOnMachine(ctx context.Context, api *operator) {
	text := strings.NewReplacer("${IMAGE}", ProbeImage, "${NODE}", t.result.Nodes[0]).Replace(probeManifest)
	t.Check(ctx, "a pod runs", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		if _, err := api.kubectlIn(ctx, "", text, "apply", "--server-side", "-f", "-"); err != nil {
			return "", err
		}
		_, err := t.probes(ctx, api)
		return "of the lab's DaemonSet", err
	}))
	service := "kubernetes.default.svc." + t.Plan.Kubernetes.ClusterDomain
	t.Check(ctx, "DNS resolves in a pod", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		_, err := t.inPods(ctx, api, anywhere, []string{"nslookup", service, t.Plan.Kubernetes.DNSIP}, func(_ probe, out string, err error) error {
			if err == nil && !strings.Contains(out, t.Plan.Kubernetes.ServiceIP) {
				err = fmt.Errorf("nslookup printed %q", out)
			}
			return err
		})
		return service + " is " + t.Plan.Kubernetes.ServiceIP, err
	}))
	t.Check(ctx, "a pod reaches a Service", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		return t.reachService(ctx, api, t.result.Nodes[0])
	}))
}

// each does something for every machine at once and joins what went wrong.
func each(machines []*VM, do func(*VM) error) error {
	errs := make(chan error, len(machines))
	for _, v := range machines {
		go func() { errs <- do(v) }()
	}
	var all []error
	for range machines {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// secret is the path of a file of the output folder that only its owner reads.
func (t *Trial) secret(name string) string {
	return filepath.Join(t.Out, "secret", filepath.FromSlash(name))
}
