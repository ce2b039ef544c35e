package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

// machinesFromOutput refuses what a virtual machine of the lab cannot boot.
func machinesFromOutput(p *plan.Plan) error {
	if p.OS.Format != "ignition" {
		return fmt.Errorf("the lab's virtual machines read Ignition in their initrd, and os.family %s reads %s: leave --vm away to boot it in containers", p.OS.Family, p.OS.Format)
	}
	return nil
}

// playOutputMachines boots every node of an output folder as a virtual machine.
func playOutputMachines(ctx context.Context, t *Trial) error {
	system, err := t.machineSystem(ctx)
	if err != nil {
		return err
	}
	wire := t.Switch()
	if err := t.clocks(wire); err != nil {
		return err
	}
	var machines []*VM
	t.Phase("first boot")
	for _, name := range t.existing() {
		v, err := t.machineOf(ctx, system, wire, name)
		if err != nil {
			return err
		}
		machines = append(machines, v)
		t.result.Nodes = append(t.result.Nodes, name)
	}
	if err := t.followMachines(ctx, machines); err != nil {
		return err
	}
	t.checkMachines(ctx, machines)
	t.keepMachines(ctx)
	t.Phase("after a power cut of all nodes")
	if err := each(machines, func(v *VM) error { return errors.Join(v.PowerOff(ctx), v.PowerOn(ctx)) }); err != nil {
		return err
	}
	if err := t.followMachines(ctx, machines); err != nil {
		return err
	}
	t.checkMachines(ctx, machines)
	return nil
}

// machineOf powers one node on: from its drive where the platform has a
// config-2 drive, else from its role's payload.
func (t *Trial) machineOf(ctx context.Context, system System, wire *Switch, name string) (*VM, error) {
	made, _ := t.Plan.Node(name)
	port, err := wire.Port()
	if err != nil {
		return nil, err
	}
	o := MachineOptions{Name: name, System: system, Cores: 2, MiB: 2048, Networks: [][]string{{port}}}
	if made.Role == plan.Master {
		o.MiB = 4096
	}
	if t.Plan.Platform.Drive == "config-2" {
		o.Drive = t.secret("drives/" + name + ".iso")
	} else {
		o.Payload = t.secret("roles/" + made.Role + ".ign")
		o.Arguments = append(o.Arguments, "imgforge.node="+name)
	}
	if address := t.below(name); address.IsValid() {
		o.Arguments = append(o.Arguments, fmt.Sprintf("ip=%s:::255.255.255.0::eth0:off", address.Addr()))
	}
	return t.power(ctx, o)
}

// followMachines waits until every machine has reached what its role lets it
// reach, and all are Ready.
func (t *Trial) followMachines(ctx context.Context, machines []*VM) error {
	ctx, cancel := context.WithTimeout(ctx, 2*boundMachine)
	defer cancel()
	err := each(machines, func(v *VM) error {
		made, _ := t.Plan.Node(v.Name)
		waits := []wait{
			{"identity claimed", v.runs("test", "-e", "/var/lib/imgforge/claimed")},
			{"kubelet is healthy", v.runs("curl", "-sf", "http://127.0.0.1:10248/healthz")},
		}
		if made.Role == plan.Master {
			waits = append(waits, wait{"etcd is ready", v.runs("curl", "-sf", "http://127.0.0.1:2381/readyz")},
				wait{"the API answers at its endpoint", v.runs("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "--raw", "/readyz")})
		}
		for _, w := range waits {
			if err := t.Reach(ctx, v.Name, v.PoweredOn, w.what, w.look); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.Reach(ctx, "", machines[0].PoweredOn, "all nodes are Ready", slowly(func(ctx context.Context) error { return t.machinesReady(ctx, machines) }))
}

// machinesReady asks a master's kubectl what every node said since its power-on.
func (t *Trial) machinesReady(ctx context.Context, machines []*VM) error {
	out, err := t.masterOf(machines).Run(ctx, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "get", "nodes", "-o", "json")
	if err != nil {
		return err
	}
	var list nodeList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	return each(machines, func(v *VM) error { return v.readyIn(list) })
}

func (t *Trial) masterOf(machines []*VM) *VM {
	for _, v := range machines {
		if made, _ := t.Plan.Node(v.Name); made.Role == plan.Master {
			return v
		}
	}
	return machines[0] // a plan without masters is none
}

// readyIn tells why a list of the API does not have the machine as Ready.
func (v *VM) readyIn(list nodeList) error {
	why := fmt.Errorf("%s: the API does not know it", v.Name)
	for _, item := range list.Items {
		for _, c := range item.Status.Conditions {
			switch {
			case item.Metadata.Name != v.Name || c.Type != "Ready":
			case c.LastHeartbeat.Before(v.PoweredOn.Truncate(time.Second)):
				why = fmt.Errorf("%s: it has said nothing since its power-on", v.Name)
			case c.Status == "True":
				return nil
			default:
				why = fmt.Errorf("%s: %s", v.Name, c.Message)
			}
		}
	}
	return why
}

// checkMachines makes the checks that every machine must pass, by looking alone.
func (t *Trial) checkMachines(ctx context.Context, machines []*VM) {
	masters := 0
	for _, v := range machines {
		if made, _ := t.Plan.Node(v.Name); made.Role == plan.Master {
			masters++
		}
	}
	on := "on " + counted(len(machines), "node")
	t.checkAll(ctx,
		named{fmt.Sprintf("etcd has %s", counted(masters, "voter")), func(ctx context.Context) (string, error) { return votersOf(ctx, masters, t.masterOf(machines).Run) }},
		named{"no unit failed, and systemd has nothing to say about them", func(ctx context.Context) (string, error) {
			return on, each(machines, func(v *VM) error { return unitsOf(ctx, v.Name, v.Run) })
		}},
		named{"no port is open that the plan does not name", func(ctx context.Context) (string, error) {
			return on, each(machines, func(v *VM) error { return t.portsOfMachine(ctx, v) })
		}},
		named{"sshd does not run", func(ctx context.Context) (string, error) {
			return on, each(machines, func(v *VM) error { return sshOf(ctx, v.Name, v.Run) })
		}})
}

func (t *Trial) portsOfMachine(ctx context.Context, v *VM) error {
	made, _ := t.Plan.Node(v.Name)
	out, err := v.Run(ctx, listListeners()...)
	if err == nil {
		_, err = t.namedOnly(v.Name, made.Role, out)
	}
	return err
}
