package lab

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

const classUnit = "kill -9 a unit"

// unitRows kill the main process of each unit of each node that goes on while it runs.
func unitRows(p *plan.Plan) (rows []Fault) {
	for _, n := range notReserved(p, "") {
		for _, unit := range lastingUnits(p) {
			f := Fault{Class: classUnit, Name: fmt.Sprintf("kill -9 %s on %s", unit, n.Name), Serves: true, Do: killUnit(unit, n.Name)}
			f.Short = n.Name == "master-1" && unit == "containerd"
			switch unit {
			case "systemd-timesyncd":
				f.Unable = unable("timesyncd does not run in a container, whose clock is the machine's own (ConditionVirtualization=!container of its unit)")
			case "imgforge-lab-wireguard":
				f.Unable = unable("a node's WireGuard is its kernel's, which no signal ends; with the lab's stand-in the interface goes too, and the pod network that lies on it")
			}
			rows = append(rows, f)
		}
	}
	return rows
}

func unable(why string) func(*Trial) string { return func(*Trial) string { return why } }

// lastingUnits are the services of a node that go on while it runs.
func lastingUnits(p *plan.Plan) []string {
	units := []string{"kubelet", "containerd", "imgforge-node"}
	switch p.Network.Mesh {
	case "tinc":
		units = append(units, "imgforge-mesh")
	case "wireguard":
		units = append(units, "imgforge-lab-wireguard") // the kernel's part, for a kernel that has none
	}
	return append(units, "systemd-networkd", "systemd-resolved", "systemd-journald", "systemd-logind", "dbus", "systemd-timesyncd")
}

// killUnit kills the main process of a unit and waits until systemd has started it again.
func killUnit(unit, name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		old, err := n.mainProcess(ctx, unit)
		if err != nil {
			return "", err
		}
		b.Begun()
		if _, err := n.Run(ctx, "kill", "-KILL", old); err != nil {
			return "", err
		}
		took, err := b.Wait(ctx, unit+" runs again", soonAgain, func(ctx context.Context) error {
			now, err := n.mainProcess(ctx, unit)
			if err == nil && now == old {
				err = errors.New("it has not ended")
			}
			return err
		})
		if err != nil {
			return "", err
		}
		b.Measure(unit+" runs again", took, 0)
		return fmt.Sprintf("process %s of %s was killed", old, unit), nil
	}
}

// mainProcess is the number of the process that a running unit is known by.
func (n *Node) mainProcess(ctx context.Context, unit string) (string, error) {
	out, err := n.Run(ctx, "systemctl", "show", "--property=ActiveState,MainPID", "--value", unit+".service")
	if err != nil {
		return "", err
	}
	state := strings.Fields(out)
	if len(state) != 2 || state[0] == "0" {
		return "", fmt.Errorf("%s of %s: systemctl says %q", unit, n.Name, out)
	}
	if state[1] != "active" { // the order is systemctl's own
		return "", fmt.Errorf("%s of %s is %s", unit, n.Name, state[1])
	}
	return state[0], nil
}
