package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Outcomes of one step in one look.
const (
	Reached = iota // Text says what
	Warned         // reached, with the warning Code
	Passing        // not reached: Code, unless it heals within the grace
	Final          // not reached, and it does not heal by itself
	Behind         // not reached because of another step, which has the code
)

// Word is what one look has to say of one step.
type Word struct {
	Step    string
	Outcome int
	Code    int
	Why     string
	// Text is what the step reached, or waits for.
	Text string
}

func (w Word) well() bool { return w.Outcome == Reached || w.Outcome == Warned }

func reached(name, format string, args ...any) Word {
	return Word{Step: name, Outcome: Reached, Text: fmt.Sprintf(format, args...)}
}

func passing(name string, code int, waits, format string, args ...any) Word {
	return Word{Step: name, Outcome: Passing, Code: code, Text: waits, Why: fmt.Sprintf(format, args...)}
}

func final(name string, code int, format string, args ...any) Word {
	return Word{Step: name, Outcome: Final, Code: code, Why: fmt.Sprintf(format, args...)}
}

func warned(name string, code int, format string, args ...any) Word {
	return Word{Step: name, Outcome: Warned, Code: code, Why: fmt.Sprintf(format, args...)}
}

func behind(name, other string) Word {
	return Word{Step: name, Outcome: Behind, Text: "the step " + other}
}

const master = "master"

// Decide says of every step that this package looks at how far it is. A step
// whose cause lies in another one points there, so that one broken thing has one code.
func Decide(f Facts) []Word {
	mesh, images := decideMesh(f), decideImages(f.Images)
	words := []Word{mesh}
	if !f.Images.Importing {
		words = append(words, images)
	}
	var control Word
	if f.Node.Role == master {
		control = decideParts(f, images)
	}
	kubelet := decideKubelet(f, mesh, images, control)
	words = append(words, kubelet)
	if f.Node.Role == master {
		words = append(words, control)
	}
	if w, ok := decideClock(f); ok {
		words = append(words, w)
	}
	return append(words, decideEndpoint(f, images))
}

// clockLeeway is by how much a token may be made in the future for an API server
// (DefaultLeeway of go-jose's jwt, which k8s.io/kubernetes/pkg/serviceaccount uses).
const clockLeeway = time.Minute

// decideClock compares this node's clock with that of the API server that answered.
// Masters compare theirs with each other's: see the step etcd. There is a word only
// while they differ, and once when they do no more.
func decideClock(f Facts) (w Word, ok bool) {
	if f.Node.Role == master || f.API.Clock.IsZero() || unfinished(f, step.Time) {
		return w, false
	}
	switch ahead := f.API.Clock.Sub(f.Now); {
	case ahead.Abs() > clockLeeway:
		return warned(step.Time, bootcode.ClockDiffers, "the clock of the API server that answered is %s", aheadOf(ahead)), true
	case f.Others[step.Time].Code == bootcode.ClockDiffers:
		return reached(step.Time, "the clock agrees with that of the API server"), true
	}
	return w, false
}

// aheadOf is by how much a clock is ahead of this node's, in words.
func aheadOf(d time.Duration) string {
	if d < 0 {
		return fmt.Sprintf("%s behind this node's", (-d).Round(time.Minute))
	}
	return fmt.Sprintf("%s ahead of this node's", d.Round(time.Minute))
}

// decideMesh is about the node's address and whether anybody answers.
func decideMesh(f Facts) Word {
	m, waits := f.Mesh, "the cluster network"
	switch {
	case unfinished(f, step.Claim):
		return behind(step.Mesh, step.Claim)
	case m.Taken != "":
		return final(step.Mesh, bootcode.AddressTaken, "%s", m.Taken)
	case m.OwnKey != "":
		return final(step.Mesh, bootcode.MeshRefused, "%s", m.OwnKey)
	case !m.Address:
		where := m.Interface
		if where == "" {
			where = "any interface"
		}
		return passing(step.Mesh, bootcode.MeshDown, f.Node.Address+" on "+where, "%s is not on %s%s", f.Node.Address, where, after("\n", m.Unit))
	case (m.Answered > 0 || f.alone()) && len(m.Refused) > 0:
		return warned(step.Mesh, bootcode.PeerRefused, "%s", strings.Join(m.Refused, "\n"))
	case len(m.Twins) > 0:
		return warned(step.Mesh, bootcode.MeshTwin, "%s", strings.Join(m.Twins, "\n"))
	case m.Answered > 0:
		return reached(step.Mesh, "%s, and other nodes answer", f.Node.Address)
	case f.alone():
		return reached(step.Mesh, "%s, and this node needs no other one", f.Node.Address)
	case f.API.Twin != "" && f.Kubelet.Healthy: // the mesh lets one of them in at a time
		return behind(step.Mesh, step.Kubelet)
	case len(m.Refused) > 0 || m.Kind != none && slices.ContainsFunc(m.Hubs, func(h Hub) bool { return h.Reached }):
		return passing(step.Mesh, bootcode.MeshRefused, waits, "%s", lines(append(hubs(m.Hubs), m.Refused...)))
	}
	return passing(step.Mesh, bootcode.NoPeer, waits, "%s", lines(append([]string{"no node of the cluster answers"}, hubs(m.Hubs)...)))
}

// alone tells that this node founds its cluster by itself: nobody has to answer.
func (f Facts) alone() bool {
	founders := f.Cluster.Etcd.Founders
	return f.Node.Role == master && (f.Mesh.Asked == 0 || len(founders) == 1 && founders[0] == f.Node.Node)
}

func hubs(all []Hub) (out []string) {
	for _, h := range all {
		says := "can be reached"
		if !h.Reached {
			says = "cannot be reached: " + h.Why
		}
		out = append(out, fmt.Sprintf("%s at %s %s", h.Name, h.Where, says))
	}
	return out
}

// decideImages is about what the machine's image brings.
func decideImages(i Images) Word {
	switch {
	case len(i.NoPrograms) > 0:
		return final(step.Images, bootcode.ProgramMissing, "%s", lines(i.NoPrograms))
	case i.Importing:
		return behind(step.Images, step.Images)
	case i.Containerd != "":
		return passing(step.Images, bootcode.ContainerdDown, "containerd", "%s", i.Containerd)
	case len(i.Missing) > 0:
		return passing(step.Images, bootcode.ImageMissing, "container images", "%s", lines(i.Missing))
	}
	return reached(step.Images, "all %d container images are there", i.Count)
}

// expirySoon is when an end of a certificate becomes a warning.
const expirySoon = 30 * 24 * time.Hour

// decideLeaves is about certificates; well is true when there is nothing to say, or
// only a warning.
func decideLeaves(f Facts) (w Word, well bool) {
	var unread, foreign, ended, ending []string
	for _, l := range f.Leaves {
		end := l.NotAfter.UTC().Format("2006-01-02 15:04 UTC")
		switch {
		case l.Unread != "":
			why := l.Unread
			if !strings.HasPrefix(why, "/") { // else it names the file, perhaps the key
				why = l.Path + ": " + why
			}
			unread = append(unread, why)
		case l.Foreign != "":
			foreign = append(foreign, l.Path+": "+l.Foreign)
		case l.Renewed:
		case !l.NotAfter.After(f.Now):
			ended = append(ended, l.Path+" ended on "+end)
		case l.NotAfter.Before(f.Now.Add(expirySoon)):
			ending = append(ending, l.Path+" ends on "+end)
		}
	}
	switch {
	case unread != nil:
		return final(step.Kubelet, bootcode.LeafUnread, "%s", lines(unread)), false
	case foreign != nil:
		return final(step.Kubelet, bootcode.LeafForeign, "%s", lines(foreign)), false
	case ended != nil:
		return final(step.Kubelet, bootcode.LeafEnded, "by the clock of this node it is %s\n%s", f.Now.UTC().Format("2006-01-02"), lines(ended)), false
	case ending != nil:
		return warned(step.Kubelet, bootcode.LeafExpiring, "%s", lines(ending)), true
	}
	return Word{}, true
}

// unfinished tells that another part of the helper has a step which is not done. A
// step that has not said anything does not hold anybody up.
func unfinished(f Facts, name string) bool {
	r, said := f.Others[name]
	return said && (r.State == step.Failed || r.State == step.Waiting)
}

// lines are at most a few of them: a console is read by people.
func lines(all []string) string {
	const most = 6
	if len(all) > most {
		all = append(slices.Clone(all[:most]), fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(all, "\n")
}

// after is text behind a separator, or nothing.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}
