package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/plan"
)

func clockVM() Topology {
	return Topology{
		Name:    "vm-clock",
		About:   "three small virtual machines, one with a clock an hour ahead and one an hour behind: first without a time server, then with one; no kubelet",
		Kind:    Machine,
		Cluster: clusterFile("vm-clock"),
		Play:    playClock,
	}
}

// clockRows stand in the table to say where clocks are tried.
func clockRows(*plan.Plan) []Fault {
	return []Fault{{Class: "a clock an hour off", Name: "a clock is an hour ahead, another an hour behind", Short: true,
		Unable: func(t *Trial) string {
			if t.Topology.Kind == Container {
				return "containers share the clock of the machine that runs them: imgforge test --topology vm-clock shows it in virtual machines"
			}
			return ""
		},
		Do: func(context.Context, *bout) (string, error) {
			return "", errors.New("this machine's clock is not the lab's to set")
		}}}
}

// hour is by how much clocks are off.
const hour = time.Hour

// playClock boots three masters whose clocks differ. Without a time server they say
// so, and etcd has its quorum all the same; with one they heal by themselves.
func playClock(ctx context.Context, t *Trial) error {
	system, err := t.machineSystem(ctx)
	if err != nil {
		return err
	}
	wire := t.Switch()
	off := map[string]time.Duration{"master-2": hour, "master-3": -hour}
	t.Phase("without a time server")
	machines, err := t.smallMachines(ctx, system, wire, off)
	if err != nil {
		return err
	}
	if err := t.followSmall(ctx, machines, true); err != nil {
		return err
	}
	t.Check(ctx, "clocks are an hour off in each direction", boundMachineCheck, gently(func(ctx context.Context) (string, error) { return clocksOf(ctx, machines, off) }))
	for _, v := range machines {
		t.Check(ctx, v.Name+" says code 201: nobody has set its clock", boundMachineCheck, gently(func(context.Context) (string, error) { return v.saidCode(bootcode.TimeUnset) }))
		t.Check(ctx, v.Name+" says code 204: clocks differ", boundMachineCheck, gently(func(ctx context.Context) (string, error) { return v.stepSays(ctx, "time", bootcode.ClockDiffers) }))
	}
	t.checkQuorum(ctx, machines, "without a time server")
	t.keepMachines(ctx)
	t.Phase("the time server answers")
	if err := t.clocks(wire); err != nil {
		return err
	}
	t.Check(ctx, "all clocks are right, by themselves", boundMachineCheck, gently(func(ctx context.Context) (string, error) { return clocksOf(ctx, machines, nil) }))
	for _, v := range machines {
		t.Check(ctx, v.Name+" has nothing more to say about its clock", boundMachineCheck, gently(func(ctx context.Context) (string, error) { return v.stepSays(ctx, "time", 0) }))
	}
	t.checkQuorum(ctx, machines, "with right clocks")
	return nil
}

// checkQuorum wants all voters, and that what one writes another reads.
func (t *Trial) checkQuorum(ctx context.Context, machines []*VM, when string) {
	t.Check(ctx, fmt.Sprintf("etcd has %d voters and takes writes, %s", len(machines), when), boundMachineCheck, gently(func(ctx context.Context) (string, error) {
		voters, err := votersOf(ctx, len(machines), machines[0].Run)
		if err != nil {
			return "", err
		}
		if _, err := machines[1].Run(ctx, etcdctl("put", "lab", when)...); err != nil {
			return "", err
		}
		out, err := machines[2].Run(ctx, etcdctl("get", "--print-value-only", "lab")...)
		if err == nil && strings.TrimSpace(out) != when {
			err = fmt.Errorf("it read %q", out)
		}
		return voters, err
	}))
}

// clocksOf wants each machine's clock to be off by as much as told, from this
// machine's, give or take what asking takes.
func clocksOf(ctx context.Context, machines []*VM, off map[string]time.Duration) (string, error) {
	const tolerance = 30 * time.Second
	var words []string
	for _, v := range machines {
		out, err := v.Run(ctx, "date", "+%s")
		if err != nil {
			return "", err
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return "", err
		}
		ahead := time.Until(time.Unix(seconds, 0))
		if (ahead - off[v.Name]).Abs() > tolerance {
			return "", fmt.Errorf("the clock of %s is off by %s, want %s", v.Name, ahead.Round(time.Second), off[v.Name])
		}
		words = append(words, fmt.Sprintf("%s is off by %s", v.Name, ahead.Round(time.Second)))
	}
	return strings.Join(words, ", "), nil
}

// saidCode wants the console of the running boot to have shown a code.
func (v *VM) saidCode(code int) (string, error) {
	c, _ := bootcode.Of(code)
	text := fmt.Sprintf(" %d %s in step %s", c.Number, c.Name, c.Step)
	return "its console shows it", v.Prints(text)(context.Background())
}

// stepSays wants the last word of a step to be a code, with its reason; or none, when
// that is 0.
func (v *VM) stepSays(ctx context.Context, step string, code int) (string, error) {
	out, err := v.Run(ctx, "cat", "/run/imgforge/steps/"+step+".json")
	if err != nil {
		return "", err
	}
	var said struct {
		Code int    `json:"code"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		return "", err
	}
	if said.Code != code {
		return "", fmt.Errorf("%s: its step %s says: %s", v.Name, step, said.Text)
	}
	if _, why, ok := strings.Cut(said.Text, "  why:    "); ok {
		why, _, _ = strings.Cut(why, "\n  change:")
		return strings.Join(strings.Fields(why), " "), nil
	}
	return said.Text, nil
}
