package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/plan"
)

func broken() Topology {
	return Topology{
		Name:    "broken",
		About:   "one thing wrong in each layer, one machine for each: every one must end in the boot code that names it",
		Kind:    Container,
		Cluster: clusterFile("broken"),
		Play:    playBroken,
	}
}

// fault is one machine with one thing wrong, and the code that it must end in.
type fault struct {
	wrong   string // what is wrong
	machine string // its name
	payload string // in the output folder
	// path is a file of the payload that is replaced by the same file of another store.
	path string
	// lacks is an image that its store does not have.
	lacks func(plan.Images) string
	// twin tells that another machine has its address.
	twin bool
	// clock is by how much that of the build was off.
	clock time.Duration
	code  int
}

// A year is more than the life of a leaf and the day by which it begins early.
const year = 366 * 24 * time.Hour

// well is the machine that nothing is wrong with.
const well = "master-1"

func faults() []fault {
	return []fault{
		{wrong: "a host name that no slot has", machine: "stranger", payload: "roles/worker.ign", code: bootcode.NoSlot},
		{wrong: "a clock that is a year behind the one of the build", machine: "worker-4", payload: "nodes/worker-4.ign", clock: year, code: bootcode.TimeBefore},
		{wrong: "leaves that have expired", machine: "worker-5", payload: "nodes/worker-5.ign", clock: -year, code: bootcode.TimeAfter},
		{wrong: "a mesh key of another store", machine: "worker-1", payload: "nodes/worker-1.ign", path: "/etc/tinc/broken/rsa_key.priv", code: bootcode.MeshRefused},
		{wrong: "an address that another machine has", machine: "worker-3", payload: "nodes/worker-3.ign", twin: true, code: bootcode.AddressTaken},
		{wrong: "a container image that is missing", machine: "worker-2", payload: "nodes/worker-2.ign",
			lacks: func(i plan.Images) string { return i.HAProxy }, code: bootcode.ImageMissing},
		{wrong: "the etcd authority of another store", machine: "master-2", payload: "nodes/master-2.ign", path: "/etc/kubernetes/pki/etcd/ca.crt", code: bootcode.LeafForeign},
	}
}

// soonBroken bounds how long a machine may take to find out what is wrong with it.
const soonBroken = 4 * time.Minute

func playBroken(ctx context.Context, t *Trial) error {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.Containers(ctx); err != nil {
		return err
	}
	builds := builds{}
	if _, err := t.Make(ctx, well, "nodes/"+well+".ign"); err != nil {
		return err
	}
	for _, f := range faults() {
		if err := t.makeFaulty(ctx, f, builds); err != nil {
			return fmt.Errorf("%s: %w", f.wrong, err)
		}
	}
	t.Phase("first boot")
	if _, err := PowerOn(ctx, t.nodes); err != nil {
		return err
	}
	for i, f := range faults() {
		c, _ := bootcode.Of(f.code)
		name := fmt.Sprintf("%s ends in code %d %s", f.wrong, f.code, c.Name)
		t.Check(ctx, name, soonBroken, func(context.Context) (string, error) { return t.nodes[i+1].endsIn(f.code) })
	}
	t.Check(ctx, "the machine that is well says none of these", time.Second, func(context.Context) (string, error) { return t.nodes[0].saysNone() })
	t.keepWords()
	return nil
}

// builds are those of other stores, by how much their clock was off.
type builds map[time.Duration]*Built

func (t *Trial) buildOff(ctx context.Context, by time.Duration, all builds) (*Built, error) {
	if b := all[by]; b != nil {
		return b, nil
	}
	b, err := t.buildBy(ctx, func() time.Time { return time.Now().Add(by) }, fmt.Sprintf("cluster-%dh", int(by.Hours())))
	all[by] = b
	return b, err
}

// makeFaulty makes the machine of a fault, as somebody would who makes the mistake.
func (t *Trial) makeFaulty(ctx context.Context, f fault, all builds) error {
	from := &Built{Out: t.Out}
	other, err := t.buildOff(ctx, -year, all)
	if err == nil && f.clock != 0 {
		from, err = t.buildOff(ctx, f.clock, all)
	}
	if err != nil {
		return err
	}
	payload, err := os.ReadFile(from.path(f.payload))
	if err == nil && f.path != "" {
		payload, err = exchange(payload, other.path(f.payload), f.path)
	}
	if err != nil {
		return err
	}
	o := NodeOptions{Name: f.machine, Payload: payload}
	if f.lacks != nil {
		if o.Store, err = t.StoreWithout(ctx, t.images, f.lacks(t.Plan.Images)); err != nil {
			return err
		}
	}
	if f.twin {
		netns := t.id + "-twin"
		t.later("network namespace "+netns, func(ctx context.Context) error { return t.removeNamespace(ctx, netns) })
		if _, err := t.wire.plug(ctx, netns, t.below(f.machine)); err != nil {
			return err
		}
	}
	_, err = t.make(ctx, o)
	return err
}

// exchange is a payload with one file of another.
func exchange(payload []byte, otherPayload, path string) ([]byte, error) {
	other, err := os.ReadFile(otherPayload)
	if err != nil {
		return nil, err
	}
	file, err := payloadFile(other, path)
	if err != nil {
		return nil, err
	}
	return replaceFile(payload, path, func([]byte) ([]byte, error) { return file, nil })
}

// endsIn is what the console of a node says last about a code, decoded as
// imgforge doctor does; an error while that code is not open.
func (n *Node) endsIn(code int) (string, error) {
	d, err := n.diagnosis()
	if err != nil {
		return "", err
	}
	var others []string
	for _, f := range d.Open {
		if f.Number == code {
			return fmt.Sprintf("%d %s: %s. Change: %s", f.Number, f.Name, strings.Join(f.Why, " "), f.Change), nil
		}
		others = append(others, fmt.Sprintf("%d %s", f.Number, f.Name))
	}
	return "", fmt.Errorf("%s: its console does not end in it; open are %q", n.Name, others)
}

// saysNone refuses a node whose console has the code of a fault that is not its own.
func (n *Node) saysNone() (string, error) {
	d, err := n.diagnosis()
	if err != nil {
		return "", err
	}
	var open []string
	for _, f := range d.Open {
		open = append(open, fmt.Sprintf("%d %s", f.Number, f.Name))
		for _, fault := range faults() {
			if f.Number == fault.code {
				return "", fmt.Errorf("%s says %d %s: %s", n.Name, f.Number, f.Name, strings.Join(f.Why, " "))
			}
		}
	}
	return fmt.Sprintf("open on %s are %q", n.Name, open), nil
}

func (n *Node) diagnosis() (bootcode.Diagnosis, error) {
	d := bootcode.NewDiagnosis()
	text, err := os.ReadFile(n.artifact("console.log"))
	if err == nil {
		d.Add(n.Name, bootcode.Parse(string(text)))
	}
	return d, err
}

// path is where a build left a payload.
func (b *Built) path(payload string) string {
	return filepath.Join(b.Out, "secret", filepath.FromSlash(payload))
}
