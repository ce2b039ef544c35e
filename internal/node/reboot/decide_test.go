package reboot

import (
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

func at(minute int) time.Time { return time.Date(2026, 11, 19, 4, minute, 0, 0, time.UTC) }

// three are masters that are well; the first has to reboot, and its window closes at :30.
func three(change func(f *Facts)) Facts {
	f := Facts{Time: at(0)}
	for _, name := range []string{"master-1", "master-2", "master-3"} {
		f.Nodes = append(f.Nodes, Node{Name: name, Role: "master", Boot: "old", Ready: true, Windowed: true})
	}
	f.Nodes[0].Due, f.Nodes[0].Open, f.Nodes[0].Closes = "an update", true, at(30)
	change(&f)
	return f
}

// turn gives the first master its turn.
func turn(phase Phase, until int, change func(f *Facts, n *Node)) Facts {
	return three(func(f *Facts) {
		f.Lock = Lock{Holder: "master-1", Phase: phase, Boot: "old", Until: at(until)}
		change(f, &f.Nodes[0])
	})
}

func TestDecisions(t *testing.T) {
	none := func(*Facts, *Node) {}
	for name, c := range map[string]struct {
		facts Facts
		want  Action
		why   string
		code  int
	}{
		"due":                          {three(func(*Facts) {}), Take, "", 0},
		"nothing due":                  {three(func(f *Facts) { f.Nodes[0].Due = "" }), Wait, "", 0},
		"window closed":                {three(func(f *Facts) { f.Nodes[0].Open = false }), Wait, "", 0},
		"window closes soon":           {three(func(f *Facts) { f.Nodes[0].Closes = at(5) }), Wait, "", 0},
		"no window, now":               {three(func(f *Facts) { f.Nodes[0].Open, f.Nodes[0].Now = false, true }), Take, "", 0},
		"not Ready itself":             {three(func(f *Facts) { f.Nodes[0].Ready = false }), Wait, "", 0},
		"gave up":                      {three(func(f *Facts) { f.Nodes[0].RestsUntil = at(1) }), Wait, "", 0},
		"gave up long ago":             {three(func(f *Facts) { f.Nodes[0].RestsUntil = at(0) }), Take, "", 0},
		"another master down":          {three(func(f *Facts) { f.Nodes[2].Ready = false }), Wait, "master-3", 0},
		"etcd cannot":                  {three(func(f *Facts) { f.Etcd = "etcd: no" }), Wait, "etcd: no", 0},
		"left behind":                  {three(func(f *Facts) { f.Nodes[1].Ours = true }), Restore, "over", 0},
		"left behind with a grant":     {three(func(f *Facts) { f.Nodes[1].Granted = true }), Restore, "over", 0},
		"left behind, not back yet":    {three(func(f *Facts) { f.Nodes[1].Ours, f.Nodes[1].Ready = true, false }), Wait, "master-2", 0},
		"cordon":                       {turn(Draining, 25, none), Cordon, "", 0},
		"drain":                        {turn(Draining, 25, func(f *Facts, n *Node) { n.Cordoned, f.Stays = true, []string{"a/b"} }), Drain, "a/b", 0},
		"drained":                      {turn(Draining, 25, func(_ *Facts, n *Node) { n.Cordoned = true }), Grant, "", 0},
		"withdrawn":                    {turn(Draining, 25, func(_ *Facts, n *Node) { n.Due = "" }), Undo, "no longer", 0},
		"rebooted by itself":           {turn(Draining, 25, func(_ *Facts, n *Node) { n.Boot = "new" }), Undo, "by itself", 0},
		"gone":                         {turn(Draining, 25, func(f *Facts, _ *Node) { f.Nodes = f.Nodes[1:] }), Undo, "no node", 0},
		"budgets that never allow":     {turn(Draining, 0, func(f *Facts, n *Node) { n.Cordoned, f.Stays = true, []string{"a/b"} }), Undo, "a/b", bootcode.DrainUnfinished},
		"too late":                     {turn(Draining, 0, none), Undo, "too late", bootcode.DrainUnfinished},
		"another dies while draining":  {turn(Draining, 25, func(f *Facts, _ *Node) { f.Nodes[1].Ready = false }), Undo, "master-2", bootcode.RebootUnsafe},
		"etcd fails while draining":    {turn(Draining, 25, func(f *Facts, _ *Node) { f.Etcd = "etcd: no" }), Undo, "etcd: no", bootcode.RebootUnsafe},
		"granted, untold":              {turn(Granted, 5, none), Tell, "", 0},
		"granted and told":             {turn(Granted, 5, func(_ *Facts, n *Node) { n.Granted = true }), Wait, "reboots", 0},
		"granted, down":                {turn(Granted, 5, func(_ *Facts, n *Node) { n.Granted, n.Ready = true, false }), Wait, "reboots", 0},
		"granted, over, may be ending": {turn(Granted, -1, func(_ *Facts, n *Node) { n.Granted = true }), Wait, "reboots", 0},
		"did not reboot":               {turn(Granted, -5, func(_ *Facts, n *Node) { n.Granted = true }), Undo, "still runs", bootcode.RebootUnmade},
		"booted, not Ready":            {turn(Granted, 5, func(_ *Facts, n *Node) { n.Boot, n.Ready = "new", false }), Wait, "comes back", 0},
		"back":                         {turn(Granted, 5, func(_ *Facts, n *Node) { n.Boot, n.Due = "new", "" }), Undo, "is back", 0},
		"away":                         {turn(Granted, -19, func(_ *Facts, n *Node) { n.Ready = false }), Wait, "reboots", 0},
		"died with the lease":          {turn(Granted, -20, func(_ *Facts, n *Node) { n.Ready = false }), Undo, "master-1", bootcode.RebootLost},
		"died after booting":           {turn(Granted, -20, func(_ *Facts, n *Node) { n.Boot, n.Ready = "new", false }), Undo, "master-1", bootcode.RebootLost},
		"late, but back":               {turn(Granted, -30, func(_ *Facts, n *Node) { n.Boot = "new" }), Undo, "is back", 0},
		"undoing a cordon":             {turn(Undoing, 0, func(_ *Facts, n *Node) { n.Ours = true }), Restore, "", 0},
		"undoing a grant":              {turn(Undoing, 0, func(_ *Facts, n *Node) { n.Granted, n.Ready = true, false }), Restore, "", 0},
		"undone":                       {turn(Undoing, 0, none), Release, "", 0},
		"undone, a user's cordon":      {turn(Undoing, 0, func(_ *Facts, n *Node) { n.Cordoned = true }), Release, "", 0},
		"undone, still down":           {turn(Undoing, 0, func(_ *Facts, n *Node) { n.Ours, n.Ready = true, false }), Release, "", 0},
		"undone, gone":                 {turn(Undoing, 0, func(f *Facts, _ *Node) { f.Nodes = f.Nodes[1:] }), Release, "", 0},
		"gave up, not written down":    {turn(Undoing, 0, func(f *Facts, _ *Node) { f.Lock.Ending = Ending{904, "why"} }), Restore, "", 0},
		"gave up, written down":        {turn(Undoing, 0, func(f *Facts, n *Node) { f.Lock.Ending = Ending{904, "why"}; n.RestsFor = Ending{904, "why"} }), Release, "", 0},
	} {
		d := Decide(c.facts)
		if d.Do != c.want || !strings.Contains(d.Why, c.why) || d.Ending.Code != c.code {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Who is next: one that the cluster can spare, then the window that closes first.
func TestOrder(t *testing.T) {
	f := Facts{Time: at(0)}
	for _, n := range []Node{
		{Name: "proxy-1", Role: "proxy", Closes: at(20)}, {Name: "proxy-2", Role: "proxy"},
		{Name: "worker-1", Role: "worker", Closes: at(40)}, {Name: "worker-2", Role: "worker", Closes: at(30)},
	} {
		n.Ready, n.Open, n.Windowed = n.Name != "proxy-2", !n.Closes.IsZero(), true
		n.Due = map[bool]string{true: "an update"}[n.Open]
		f.Nodes = append(f.Nodes, n)
	}
	if d := Decide(f); d.Do != Take || d.Node != "worker-2" || !d.Until.Equal(at(25)) {
		t.Errorf("%+v", d)
	}
}

// Half of a role stays, and who is alone can always go.
func TestSparing(t *testing.T) {
	for _, c := range []struct {
		role        string
		ready, down int // others
		spared      bool
	}{
		{"master", 0, 0, true}, {"master", 2, 0, true}, {"master", 1, 1, false}, {"master", 4, 1, false},
		{"worker", 0, 0, true}, {"worker", 1, 0, true}, {"worker", 0, 1, false}, {"worker", 2, 0, true}, {"worker", 1, 1, false},
		{"worker", 2, 1, true}, {"worker", 5, 4, true}, {"worker", 4, 5, false}, {"proxy", 0, 1, false},
	} {
		f := Facts{Nodes: []Node{{Name: "me", Role: c.role}, {Name: "stranger", Role: "other"}}}
		for i := range c.ready + c.down {
			f.Nodes = append(f.Nodes, Node{Name: "other", Role: c.role, Ready: i < c.ready})
		}
		if why := f.unsafe(f.Nodes[0]); (why == "") != c.spared {
			t.Errorf("%+v: %q", c, why)
		}
	}
}
