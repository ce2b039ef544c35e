package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

func wireGuardVM() Topology {
	return Topology{
		Name:    "vm-wireguard",
		About:   "three small virtual machines: WireGuard in their kernels, and etcd's quorum over it; no kubelet",
		Kind:    Machine,
		Cluster: clusterFile("vm-wireguard"),
		Play: func(ctx context.Context, t *Trial) error {
			return t.playSmall(ctx, "WireGuard runs in the kernel", (*VM).kernelWireGuard)
		},
	}
}

func tincVM() Topology {
	return Topology{
		Name:    "vm-tinc",
		About:   "three small virtual machines: tinc, etcd's quorum over it, and the floating address, which moves when its holder loses power; no kubelet",
		Kind:    Machine,
		Cluster: clusterFile("vm-tinc"),
		Play: func(ctx context.Context, t *Trial) error {
			return t.playSmall(ctx, "tinc runs, in switch mode", (*VM).tincRuns)
		},
	}
}

// SmallArguments are the lab's override for machines that are too slow for a
// kubelet: they boot the payload as it is, the kernel's arguments keep one unit of
// it from starting, and start what that unit would have taken along.
func SmallArguments() []string {
	return []string{"systemd.mask=kubelet.service", "systemd.wants=imgforge-etcd-guard.service"}
}

// playSmall boots three masters of which only what lies below the kubelet runs;
// the lab starts the pods of etcd and keepalived from their own manifests.
func (t *Trial) playSmall(ctx context.Context, mesh string, look func(*VM, context.Context) (string, error)) error {
	system, err := t.machineSystem(ctx)
	if err != nil {
		return err
	}
	machines, err := t.smallMachines(ctx, system, t.Switch(), nil)
	if err != nil {
		return err
	}
	t.Phase("first boot")
	if err := t.followSmall(ctx, machines, true); err != nil {
		return err
	}
	t.checkSmall(ctx, machines, mesh, look)
	if t.Plan.Endpoint.Mode == "vip" {
		if err := t.checkFloating(ctx, machines); err != nil {
			return err
		}
	}
	t.keepMachines(ctx)
	t.Phase("after a power cut of all")
	if err := each(machines, func(v *VM) error { return errors.Join(v.PowerOff(ctx), v.PowerOn(ctx)) }); err != nil {
		return err
	}
	if err := t.followSmall(ctx, machines, false); err != nil {
		return err
	}
	t.checkSmall(ctx, machines, mesh, look)
	return nil
}

// smallMachines powers the masters on, on one switch. The boot loader names the
// machine and the address that a provider's DHCP would give; ahead is by how much the
// clocks of some are ahead.
func (t *Trial) smallMachines(ctx context.Context, system System, wire *Switch, ahead map[string]time.Duration) (machines []*VM, err error) {
	for _, name := range t.existing() {
		port, err := wire.Port()
		if err != nil {
			return nil, err
		}
		address := t.below(name)
		arguments := append(SmallArguments(), "imgforge.node="+name, fmt.Sprintf("ip=%s:::255.255.255.0::eth0:off", address.Addr()))
		if ahead != nil {
			arguments = append(arguments, "systemd.wants=imgforge-time.service") // which the kubelet would start too
		}
		v, err := t.power(ctx, MachineOptions{Name: name, System: system, Payload: t.secret("roles/master.ign"), Cores: 1, MiB: 1536, Networks: [][]string{{port}}, Ahead: ahead[name], Arguments: arguments})
		if err != nil {
			return nil, err
		}
		machines = append(machines, v)
		t.result.Nodes = append(t.result.Nodes, name)
	}
	return machines, nil
}

// followSmall waits for what each machine reaches by itself, and runs its pods.
func (t *Trial) followSmall(ctx context.Context, machines []*VM, first bool) error {
	ctx, cancel := context.WithTimeout(ctx, boundMachine)
	defer cancel()
	return each(machines, func(v *VM) error {
		var waits []wait
		if first {
			waits = append(waits, wait{"Ignition is done, in the initrd", v.Prints("Ignition Complete")})
		}
		waits = append(waits,
			wait{"identity claimed", v.runs("test", "-e", "/var/lib/imgforge/claimed")},
			wait{"mesh is up", v.runs("systemctl", "is-active", "imgforge-mesh.service")},
			wait{"containerd runs", v.runs("systemctl", "is-active", "containerd.service")},
			wait{"etcd's manifest is in place: the masters have agreed", v.runs("test", "-e", etcdManifest)},
			wait{"etcd's pod runs", func(ctx context.Context) error { return v.runPod(ctx, etcdManifest) }},
			wait{"etcd has a quorum", v.runs("curl", "-sf", "http://127.0.0.1:2381/readyz")})
		if t.Plan.Endpoint.Mode == "vip" {
			waits = append(waits,
				wait{"a stand-in for the API server answers", func(ctx context.Context) error { return t.standIn(ctx, v) }},
				wait{"keepalived's pod runs", func(ctx context.Context) error { return v.runPod(ctx, keepalivedManifest) }})
		}
		for _, w := range waits {
			if err := t.Reach(ctx, v.Name, v.PoweredOn, w.what, w.look); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	etcdManifest       = "/etc/kubernetes/manifests/etcd.yaml"
	keepalivedManifest = "/etc/kubernetes/manifests/keepalived.yaml"
)

// checkSmall makes the checks of machines without a kubelet.
func (t *Trial) checkSmall(ctx context.Context, machines []*VM, mesh string, look func(*VM, context.Context) (string, error)) {
	t.Check(ctx, mesh, boundMachineCheck, gently(func(ctx context.Context) (evidence string, err error) {
		err = each(machines, func(v *VM) error {
			said, err := look(v, ctx)
			if v == machines[0] {
				evidence = v.Name + ": " + said
			}
			return err
		})
		return evidence, err
	}))
	t.Check(ctx, "every machine reaches every other over the mesh", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		return fmt.Sprintf("%d pings answered", len(machines)*(len(machines)-1)), each(machines, func(v *VM) error { return t.pings(ctx, v, machines) })
	}))
	t.Check(ctx, fmt.Sprintf("etcd has %d voters", len(machines)), boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		return votersOf(ctx, len(machines), machines[0].Run)
	}))
	t.Check(ctx, "what one member writes another reads", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		if _, err := machines[0].Run(ctx, etcdctl("put", "lab", "written")...); err != nil {
			return "", err
		}
		out, err := machines[1].Run(ctx, etcdctl("get", "--print-value-only", "lab")...)
		if err == nil && strings.TrimSpace(out) != "written" {
			err = fmt.Errorf("it read %q", out)
		}
		return fmt.Sprintf("written on %s, read on %s", machines[0].Name, machines[1].Name), err
	}))
	t.Check(ctx, "sshd does not run", boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		return "no unit and no process", each(machines, func(v *VM) error { return sshOf(ctx, v.Name, v.Run) })
	}))
}

// pings sends one packet to the mesh address of every other machine.
func (t *Trial) pings(ctx context.Context, v *VM, machines []*VM) error {
	for _, other := range machines {
		made, _ := t.Plan.Node(other.Name)
		if other == v {
			continue
		}
		if _, err := v.Run(ctx, "ping", "-c", "1", "-W", "5", made.Address); err != nil {
			return err
		}
	}
	return nil
}

// kernelWireGuard tells the peers with whom the kernel's own WireGuard has spoken.
func (v *VM) kernelWireGuard(ctx context.Context) (string, error) {
	link, err := v.Run(ctx, "ip", "-details", "-oneline", "link", "show", "type", "wireguard")
	if err != nil {
		return "", err
	}
	shakes, err := v.Run(ctx, "wg", "show", "all", "latest-handshakes")
	if err != nil {
		return "", err
	}
	spoken := 0
	for line := range strings.Lines(shakes) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[2] != "0" { // interface, key, time
			spoken++
		}
	}
	if link == "" || spoken == 0 {
		return "", fmt.Errorf("%s: links %q, peers spoken with: %d", v.Name, link, spoken)
	}
	return "a link of the kernel's, which has spoken with " + counted(spoken, "peer"), nil
}

// tincRuns tells that tincd runs and its interface is a tap.
func (v *VM) tincRuns(ctx context.Context) (string, error) {
	if _, err := v.Run(ctx, "pidof", "tincd"); err != nil {
		return "", err
	}
	out, err := v.Run(ctx, "ip", "-details", "-oneline", "link", "show", "dev", "mesh0")
	if err == nil && !strings.Contains(out, "tun type tap") {
		err = fmt.Errorf("%s: the interface is %q", v.Name, out)
	}
	return "tincd, and a tap of the kernel's", err
}
