package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// posting is what one version of this node's Node says of the machine whose kubelet
// wrote it last. A kubelet writes its Node when that differs from what it would write,
// after at most 10 s, and every 5 minutes in any case (tryUpdateNodeStatus in
// k8s.io/kubernetes/pkg/kubelet): two of one name take it from each other for as long
// as both live.
type posting struct {
	Machine, Boot, System string // of status.nodeInfo; empty: not known
	Beat                  string // lastHeartbeatTime of the condition Ready, which nothing but a kubelet changes
}

// of tells whether a posting may be that of a machine: what is not known fits anybody.
func (p posting) of(machine, boot string) bool {
	return (machine == "" || p.Machine == machine) && (boot == "" || p.Boot == boot)
}

// rivals remember who wrote this node's Node, and tell when another machine does so
// while this one lives.
//
// One write of another's is no proof: the last one of a machine that this one replaces
// may come late, and a restored snapshot of etcd brings an old one back. None counts
// before this machine's own kubelet has written: until then whoever was here before is
// still right, and a machine id that was changed on a running machine is not that
// kubelet's.
type rivals struct {
	machine, boot string // of this machine; empty: not known
	system        string // its system UUID, as its own kubelet posts it

	last  posting // of the version before; zero: none was seen
	mine  bool    // this machine's kubelet has written
	past  []rival
	since time.Time // when two machines were told last; zero: they are not
}

// rival is a write of another machine's kubelet, and when it was seen.
type rival struct {
	posting
	at time.Time
}

const (
	rivalTimes = 2                // so many writes are no accident
	rivalEnd   = 10 * time.Minute // within that time: a mesh may carry one machine for minutes, and then the other
	rivalRest  = 5 * time.Minute  // without another one, and the other machine is off
)

// see takes the next version of the Node.
func (r *rivals) see(p posting, now time.Time) {
	if r.machine == "" && r.boot == "" || p.Machine == "" && p.Boot == "" {
		return // nobody can be told from anybody
	}
	before := r.last
	r.last = p
	switch {
	case p.of(r.machine, r.boot):
		r.mine, r.system = true, p.System
	case r.mine && p != before:
		r.past = append(r.past, rival{p, now})
	}
}

// words say that another machine is this node too; they are empty while none is known.
func (r *rivals) words(now time.Time) string {
	r.past = slices.DeleteFunc(r.past, func(p rival) bool { return now.Sub(p.at) > rivalEnd })
	n := len(r.past)
	if n < rivalTimes || now.Sub(r.past[n-1].at) > rivalRest {
		r.since = time.Time{}
		return ""
	}
	if r.since.IsZero() {
		r.since = r.past[0].at
	}
	var out []string
	for _, p := range r.past {
		if line := r.describe(p.posting); !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	slices.Sort(out)
	out = append(out, "this is "+who(r.machine, r.boot, r.system), "seen since "+r.since.UTC().Format("2006-01-02 15:04 UTC"))
	return strings.Join(out, "\n")
}

// describe is another machine, beside this one.
func (r *rivals) describe(p posting) string {
	if p.Machine == r.machine && r.machine != "" {
		return fmt.Sprintf("a machine with the same machine id, as a copy of this one's disk has, writes this Node too: %s", who(p.Machine, p.Boot, p.System))
	}
	return "another machine writes this Node too: " + who(p.Machine, "", p.System)
}

// who is a machine by what tells it from others. Its system UUID is what many providers
// call the server.
func who(machine, boot, system string) string {
	var out []string
	for _, part := range [][2]string{{"machine id", machine}, {"boot id", boot}, {"system UUID", system}} {
		if part[1] != "" {
			out = append(out, part[0]+" "+part[1])
		}
	}
	return strings.Join(out, ", ")
}
