// Package watch observes what other programs on a node do: the mesh, containerd, the
// kubelet, the control plane, certificates. It names what keeps the node from being
// Ready by its boot code, and changes nothing.
package watch

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options say what to watch. Only Report is needed on a node.
type Options struct {
	Root   string // "/"
	Report step.Reporter
	Stderr io.Writer // takes the line that says the node is Ready; under systemd, journal and console
	Now    func() time.Time

	Grace time.Duration // how long a state that passes on every boot is no failure
	Pace  time.Duration // between two looks while the node is not Ready
	Rest  time.Duration // and while it is

	Programs   string // folders of programs, as in PATH
	Containerd string // its socket
	Ports      Ports

	// whoHas asks the network; tests outside of a namespace of their own must not.
	whoHas func(net.Interface, netip.Addr) string
	// disks looks at this machine's file systems; how full they are is no matter of tests.
	disks func(root, role string) []Disk
}

// Ports are where programs on this machine say how they are, all on loopback.
type Ports struct {
	Kubelet, Etcd, ControllerManager, Scheduler, HAProxy int
}

func (o Options) orDefault() Options {
	o.Root, o.Programs, o.Containerd = cmp.Or(o.Root, "/"), cmp.Or(o.Programs, programDirs), cmp.Or(o.Containerd, "/run/containerd/containerd.sock")
	o.Stderr = cmp.Or[io.Writer](o.Stderr, os.Stderr)
	o.Grace, o.Pace, o.Rest = cmp.Or(o.Grace, time.Minute), cmp.Or(o.Pace, 2*time.Second), cmp.Or(o.Rest, 30*time.Second)
	o.Ports = cmp.Or(o.Ports, Ports{Kubelet: 10248, Etcd: 2381, ControllerManager: 10257, Scheduler: 10259, HAProxy: artifact.HAProxyAlivePort})
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.whoHas == nil {
		o.whoHas = whoHas
	}
	if o.disks == nil {
		o.disks = disks
	}
	return o
}

// Run watches until ctx ends.
func Run(ctx context.Context, o Options) error {
	o = o.orDefault()
	l, err := newLooker(o)
	if err != nil {
		return err
	}
	v := voice{report: o.Report, grace: o.Grace, bad: map[string]time.Time{}, said: map[string]said{}}
	ready := false
	for {
		f := l.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		words := Decide(f)
		failed := v.say(words, f.Now)
		pause, well := o.Pace, wellAll(words)
		switch {
		case well && !ready:
			fmt.Fprintln(o.Stderr, readyLine(f))
			fallthrough
		case well:
			ready, pause = true, o.Rest
		case failed: // for longer than what passes
			ready, pause = false, 2*o.Pace
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// wellAll tells whether every step came to its end.
func wellAll(words []Word) bool {
	for _, w := range words {
		if !w.well() {
			return false
		}
	}
	return true
}

func readyLine(f Facts) string {
	return fmt.Sprintf("imgforge: %s is Ready: %s of cluster %s at %s, Kubernetes %s", f.Node.Node, f.Node.Role, f.Node.Cluster, f.Node.Address, f.Cluster.Kubernetes)
}

// voice says what looks found: at once what does not heal, and after a grace what
// passes on every boot.
type voice struct {
	report step.Reporter
	grace  time.Duration
	bad    map[string]time.Time // since when a step is not well
	said   map[string]said      // the last code of a step
}

type said struct {
	code int
	at   time.Time
}

// repeat is how often the reason of a code that stays may change what is shown.
const repeat = time.Minute

// say reports the words of one look, and tells whether one of them is a failure.
func (v *voice) say(words []Word, now time.Time) (failed bool) {
	for _, w := range words {
		switch w.Outcome {
		case Reached:
			delete(v.bad, w.Step)
			delete(v.said, w.Step)
			v.report.Done(w.Step, w.Text)
			continue
		case Warned:
			delete(v.bad, w.Step)
		case Behind:
			delete(v.bad, w.Step) // its own time has not begun
			delete(v.said, w.Step)
			v.report.Waiting(w.Step, w.Text)
			continue
		case Passing:
			since, known := v.bad[w.Step]
			if !known {
				v.bad[w.Step], since = now, now
			}
			if now.Sub(since) < v.grace {
				v.wait(w)
				continue
			}
		}
		failed = failed || w.Outcome != Warned
		if last, known := v.said[w.Step]; known && last.code == w.Code && now.Sub(last.at) < repeat {
			continue
		}
		v.said[w.Step] = said{w.Code, now}
		v.report.Failed(bootcode.Fail(w.Code, "%s", strings.TrimSpace(w.Why)))
	}
	return failed
}

// wait says what a step waits for, unless it has just been said what is wrong with it.
func (v *voice) wait(w Word) {
	if _, known := v.said[w.Step]; !known {
		v.report.Waiting(w.Step, w.Text)
	}
}
