package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
		Row:     &Fault{Class: classClock, Name: nameClock, Short: true},
	}
}

const (
	classClock = "a clock an hour off"
	nameClock  = "a clock is an hour ahead, another an hour behind"
)

// clockRows stand in the table of clusters in containers to say where clocks are tried.
func clockRows(*plan.Plan) []Fault {
	return []Fault{{Class: classClock, Name: nameClock, Short: true,
		Unable: func(t *Trial) string {
			if t.Topology.Kind == Container {
				return "containers share the clock of the machine that runs them: it is shown in virtual machines, on vm-clock (imgforge test --faults --topology vm-clock)"
			}
			return ""
		},
		Do: func(context.Context, *bout) (string, error) {
			return "", errors.New("this machine's clock is not the lab's to set")
		}}}
}

// hour is by how much clocks are off.
const hour = time.Hour

// boundSet is how long clocks may take to be right: whoever asked a time server in vain
// waits longer before each new attempt, systemd-timesyncd up to six minutes
// (NTP_RETRY_INTERVAL_MAX_USEC in its timesyncd-manager.h).
const boundSet = 10 * time.Minute

// clockTrial is a trial of masters whose clocks differ.
type clockTrial struct {
	*Trial
	machines []*VM
	ledger   *vmLedger
	row      *FaultRow
}

// playClock boots three masters whose clocks differ. Without a time server they say so,
// found one cluster and take writes all the same; with one they heal by themselves, and
// what was acknowledged before, meanwhile and after is there.
func playClock(ctx context.Context, t *Trial) error {
	system, err := t.machineSystem(ctx)
	if err != nil {
		return err
	}
	wire := t.Switch()
	off := map[string]time.Duration{"master-2": hour, "master-3": -hour}
	t.Phase("without a time server")
	c := &clockTrial{Trial: t, row: &FaultRow{}}
	if c.machines, err = t.smallMachines(ctx, system, wire, off); err != nil {
		return err
	}
	if err := t.followSmall(ctx, c.machines, true); err != nil {
		return err
	}
	t.result.Faults = []*FaultRow{c.row}
	c.ledger = writeKeys(ctx, c.machines)
	defer c.ledger.stop()
	c.check(ctx, "clocks are an hour off in each direction", func(ctx context.Context) (string, error) { return clocksOf(ctx, c.machines, off) })
	c.check(ctx, "every master says code 201: nobody has set its clock", c.unset)
	c.check(ctx, "every master says code 204, and whose clock differs", c.differ)
	cluster := c.checkCluster(ctx, "one cluster of three voters takes writes, while clocks differ")
	t.keepMachines(ctx)

	t.Phase("the time server answers")
	came := time.Now()
	if err := t.clocks(wire); err != nil {
		return err
	}
	t.Check(ctx, "all clocks are right, by themselves", boundSet, gently(func(ctx context.Context) (string, error) { return clocksOf(ctx, c.machines, nil) }))
	c.measure("all clocks right, after a time server answered", time.Since(came))
	c.check(ctx, "no master has anything to say about its clock", c.agree)
	c.measure("no code about clocks any more", time.Since(came))
	again := c.checkCluster(ctx, "it is the same cluster, and takes writes")
	c.ledger.stop()
	c.check(ctx, "every acknowledged write is in the etcd of every master", c.kept)
	if cluster != again {
		return fmt.Errorf("the cluster was %s, and is %s", cluster, again)
	}
	c.row.During, c.row.Acknowledged = c.ledger.count(), c.ledger.count()
	c.measure("the longest time between two writes, on emulated machines", c.ledger.gap)
	c.row.Evidence = fmt.Sprintf("masters an hour apart founded cluster %s and said 201 and 204; nobody touched them, a time server came", cluster)
	return nil
}

func (c *clockTrial) check(ctx context.Context, name string, look func(context.Context) (string, error)) {
	c.Check(ctx, name, boundMachineCheck, gently(look))
}

func (c *clockTrial) measure(what string, d time.Duration) {
	c.row.Measures = append(c.row.Measures, Measure{What: what, Seconds: d.Seconds()})
}

// unset wants the console of every master to have shown that nobody has set its clock.
func (c *clockTrial) unset(context.Context) (string, error) {
	return "on its console", each(c.machines, func(v *VM) error { return v.saidCode(bootcode.TimeUnset) })
}

// differ wants the step of the clock to say on every master that clocks differ.
func (c *clockTrial) differ(ctx context.Context) (string, error) {
	return c.everybody(ctx, func(w Word) (string, error) {
		if w.Code != bootcode.ClockDiffers {
			return "", fmt.Errorf("its step time says: %s", w.Text)
		}
		_, why, _ := strings.Cut(w.Text, "  why:    ")
		why, _, _ = strings.Cut(why, "\n  change:")
		return strings.Join(strings.Fields(why), " "), nil
	})
}

// agree wants the step of the clock to have come to its end on every master.
func (c *clockTrial) agree(ctx context.Context) (string, error) {
	return c.everybody(ctx, func(w Word) (string, error) {
		if w.State != "done" {
			return "", fmt.Errorf("its step time says: %s", w.Text)
		}
		return w.Text, nil
	})
}

// everybody joins what is made of the last word of the clock's step on every master.
func (c *clockTrial) everybody(ctx context.Context, judge func(Word) (string, error)) (string, error) {
	said := make([]string, len(c.machines))
	err := each(c.machines, func(v *VM) error {
		words, err := v.words(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(words, func(w Word) bool { return w.Step == "time" })
		if i < 0 {
			return fmt.Errorf("%s: its step time has said nothing", v.Name)
		}
		text, err := judge(words[i])
		if err != nil {
			return fmt.Errorf("%s: %w", v.Name, err)
		}
		said[slices.Index(c.machines, v)] = v.Name + ": " + text
		return nil
	})
	return strings.Join(said, "; "), err
}

// checkCluster wants every master to name one cluster and its three voters, and writes
// to be acknowledged from now on. It returns the cluster's id.
func (c *clockTrial) checkCluster(ctx context.Context, name string) (cluster string) {
	from := c.ledger.count()
	c.check(ctx, name, func(ctx context.Context) (string, error) {
		ids := make([]string, len(c.machines))
		err := each(c.machines, func(v *VM) (err error) {
			ids[slices.Index(c.machines, v)], err = c.clusterOf(ctx, v)
			return err
		})
		if err != nil {
			return "", err
		}
		if same := slices.Compact(slices.Clone(ids)); len(same) != 1 {
			return "", fmt.Errorf("masters name the clusters %q", ids)
		}
		cluster = ids[0]
		return fmt.Sprintf("cluster %s, by all three; %s so far", cluster, counted(c.ledger.count(), "acknowledged write")), c.ledger.grows(from)
	})
	return cluster
}

// clusterOf is the id of the cluster that a master's etcd is in, with all masters as
// voters of it.
func (c *clockTrial) clusterOf(ctx context.Context, v *VM) (string, error) {
	out, err := v.Run(ctx, append(etcdctl("--write-out=json"), "member", "list")...)
	if err != nil {
		return "", err
	}
	var a etcdAnswer
	if err := json.Unmarshal([]byte(out), &a); err != nil {
		return "", fmt.Errorf("%s: etcdctl printed %q: %w", v.Name, out, err)
	}
	voters := 0
	for _, m := range a.Members {
		if m.Name != "" && !m.Learner {
			voters++
		}
	}
	if voters != len(c.machines) || len(a.Members) != voters {
		return "", fmt.Errorf("%s: members are %v", v.Name, a.Members)
	}
	return strconv.FormatUint(a.Header.Cluster, 16), nil
}

// kept wants every acknowledged write on every master.
func (c *clockTrial) kept(ctx context.Context) (string, error) {
	lost := map[string]bool{}
	err := each(c.machines, func(v *VM) error {
		missing, err := c.ledger.missing(ctx, v)
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			err = fmt.Errorf("LOST on %s: %.300v", v.Name, missing)
		}
		c.seen.Lock()
		defer c.seen.Unlock()
		for _, name := range missing {
			lost[name] = true
		}
		return err
	})
	c.row.Lost = len(lost)
	return fmt.Sprintf("%d writes", c.ledger.count()), err
}

// clocksOf wants each machine's clock to be off by as much as told, from this
// machine's, give or take what asking takes.
func clocksOf(ctx context.Context, machines []*VM, off map[string]time.Duration) (string, error) {
	const tolerance = 30 * time.Second
	words := make([]string, len(machines))
	err := each(machines, func(v *VM) error {
		out, err := v.Run(ctx, "date", "+%s")
		if err != nil {
			return err
		}
		seconds, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return err
		}
		ahead := time.Until(time.Unix(seconds, 0))
		if (ahead - off[v.Name]).Abs() > tolerance {
			return fmt.Errorf("the clock of %s is off by %s, want %s", v.Name, ahead.Round(time.Second), off[v.Name])
		}
		words[slices.Index(machines, v)] = fmt.Sprintf("%s is off by %s", v.Name, ahead.Round(time.Second))
		return nil
	})
	return strings.Join(words, ", "), err
}

// saidCode wants the console of the running boot to have shown a code.
func (v *VM) saidCode(code int) error {
	c, _ := bootcode.Of(code)
	return v.Prints(fmt.Sprintf(" %d %s in step %s", c.Number, c.Name, c.Step))(context.Background())
}
