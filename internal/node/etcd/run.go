package etcd

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Where things are on a master, below the root.
const (
	stagedPath   = "/etc/imgforge/etcd/etcd.yaml" // outside of the kubelet's sight
	manifestPath = "/etc/kubernetes/manifests/etcd.yaml"
	pkiPath      = "/etc/kubernetes/pki/etcd"
	dataPath     = "/var/lib/etcd"
	memoryPath   = "/var/lib/imgforge/etcd.json"
	clusterPath  = artifact.ClusterFilePath
	markName     = "imgforge.json" // in the data folder
)

// Ports on the node's address in the cluster network.
const (
	clientPort = "2379"
	peerPort   = "2380"
	probePort  = "2383"
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root string // "/" when empty
	// Report is told each change. It is called from one goroutine.
	Report step.Reporter
	// Settled, when set, is called each time this node has become a voter.
	Settled func()
	Timeout time.Duration // of one question to one master; 5 s
	Pace    time.Duration // between two looks while there is something to do; 200 ms
	Rest    time.Duration // between two looks at a settled member; 20 s
	// Grace is how long nothing may move before what is waited for is a code: every
	// boot waits for the other masters a little; 20 s.
	Grace time.Duration
	// Stall is how long the source of a snapshot may send nothing; 60 s.
	Stall time.Duration
	Rand  io.Reader
	// Ended, when set, is the last word of an etcd on this node that ended in an error,
	// and "" where the newest one did not.
	Ended func() string
}

// node is a master at work.
type node struct {
	o         Options
	self      Slot
	slot      int
	address   string
	others    []Slot
	addresses map[string]string // by name
	token     string
	founders  []string // URLs, from which the ids of clusters follow
	founded   bool
	restore   string // etcd.restoreFrom
	abandon   ID
	bucket    *artifact.S3
	line      lineage                   // the cluster that this look is about
	candidate atomic.Pointer[candidate] // what would be restored
	http      *http.Client
	etcd      client
	voters    []string // client URLs behind the last confirmed list
	last      string   // what was reported last
	looks     int
	silent    map[string]bool // who did not answer at the last look, by name
	stuck     time.Time       // since when nothing moves; zero while something does
	trouble   trouble         // of an etcd that does not come up
	clocks    clocks          // of the other masters
	ending    time.Time       // since when an etcd without a manifest is to end
	// fault is called between steps, so that tests can end the process there.
	fault func(step string) error
}

// Run keeps this master a member of etcd until ctx ends, and answers the other
// masters all the while. It can be killed at any point and started again.
func Run(ctx context.Context, o Options) error {
	n, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.EtcdUnable, "%v", err)
	}
	return n.run(ctx)
}

// load reads who this node is and whom it has to ask.
func load(o Options) (*node, error) {
	o.Root, o.Rand = cmp.Or(o.Root, "/"), cmp.Or[io.Reader](o.Rand, rand.Reader)
	o.Timeout, o.Pace, o.Rest = cmp.Or(o.Timeout, 5*time.Second), cmp.Or(o.Pace, 200*time.Millisecond), cmp.Or(o.Rest, 20*time.Second)
	o.Grace, o.Stall = cmp.Or(o.Grace, 20*time.Second), cmp.Or(o.Stall, 60*time.Second)
	n := &node{o: o, addresses: map[string]string{}, silent: map[string]bool{}, fault: func(string) error { return nil }}
	me, err := artifact.ReadNodeFile(o.Root)
	if err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	c, err := artifact.ReadClusterFile(o.Root)
	if err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	n.token, n.founded, n.restore, n.slot, n.address = c.Etcd.Token, c.Etcd.Founded, c.Etcd.RestoreFrom, me.Slot, me.Address
	n.bucket = snapshot.Plan(c).S3
	if c.Etcd.Abandon != "" {
		id, err := strconv.ParseUint(c.Etcd.Abandon, 16, 64)
		if err != nil {
			return nil, fmt.Errorf("read etcd.abandon: %w", err)
		}
		n.abandon = ID(id)
	}
	for _, other := range c.Nodes {
		if other.Role != "master" {
			continue
		}
		s := Slot{Name: other.Name, URL: "https://" + net.JoinHostPort(other.Address, peerPort),
			Founder: slices.Contains(c.Etcd.Founders, other.Name), Awaited: slices.Contains(c.Etcd.Masters, other.Name)}
		n.addresses[s.Name] = other.Address
		if s.Founder {
			n.founders = append(n.founders, s.URL)
		}
		if s.Name == me.Node {
			n.self = s
		} else {
			n.others = append(n.others, s)
		}
	}
	switch {
	case n.self.Name == "":
		return nil, fmt.Errorf("%s is not among the masters of %s", me.Node, clusterPath)
	case n.token == "" || len(n.founders) == 0 || len(n.founders) != len(c.Etcd.Founders):
		return nil, fmt.Errorf("%s does not say which masters found etcd under which token", clusterPath)
	}
	n.line = n.lineageOf("")
	return n, nil
}

func (n *node) path(name string) string { return filepath.Join(n.o.Root, name) }

func (n *node) run(ctx context.Context) error {
	server, err := n.open()
	if err != nil {
		return bootcode.Fail(bootcode.EtcdUnable, "%v", err)
	}
	if err := n.recover(); err != nil {
		return bootcode.Fail(bootcode.EtcdUnable, "%v", err)
	}
	pace := pacer{first: n.o.Pace}
	for listening := false; ; {
		next := n.o.Pace
		if !listening {
			err := n.serve(ctx, server)
			switch listening = err == nil; {
			case errors.Is(err, syscall.EADDRNOTAVAIL):
				n.o.Report.Waiting(step.Etcd, "for the mesh, which gives this node the address "+n.address)
			case err != nil:
				n.report(bootcode.EtcdStepFailed, err.Error())
			}
		}
		// Without the listener this node may ask and not answer; it holds back, so that
		// all know of each other what the one who acts knows.
		if listening {
			settled, moved, err := n.step(ctx)
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, errKilled):
				return err
			case err != nil:
				n.passing(bootcode.EtcdStepFailed, err.Error())
			}
			if next = pace.next(moved); settled {
				next = n.o.Rest
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

// open makes the clients and returns what the server needs.
func (n *node) open() (*tls.Config, error) {
	server, mine, err := n.credentials()
	if err != nil {
		return nil, err
	}
	n.http = newHTTP(mine, n.o.Timeout)
	n.etcd = client{http: n.http, timeout: n.o.Timeout}
	return server, nil
}

// errKilled stands for the end of the process, in tests.
var errKilled = errors.New("killed")

// step is one look and one action.
func (n *node) step(ctx context.Context) (settled, moved bool, err error) {
	if ends, err := n.end(); ends || err != nil {
		return false, false, err
	}
	o, err := n.observe(ctx)
	if err != nil {
		return false, false, err
	}
	if err := ctx.Err(); err != nil {
		return false, false, err
	}
	n.clocks.report(n.o.Root, n.o.Report)
	if o.Disk.Held != Nothing { // damaged data too is that of an etcd that has run
		if err := n.rememberData(); err != nil {
			return false, false, fmt.Errorf("remember that etcd has run: %w", err)
		}
	}
	d := Decide(o)
	switch d.Action {
	case Wait:
		n.passing(d.Code, d.Why)
		return false, false, nil
	case Refuse:
		n.report(d.Code, d.Why)
		return false, false, nil
	case Settled:
		n.forget()
		if n.news("etcd of %s is a voter of cluster %s", n.self.Name, n.line.id) && n.o.Settled != nil {
			n.o.Settled()
		}
		return true, false, nil
	}
	err = n.act(ctx, d)
	if f, ok := errors.AsType[*bootcode.Failure](err); ok {
		n.report(f.Code.Number, f.Why)
		return false, false, nil
	}
	if errors.Is(err, errBehind) {
		n.passing(bootcode.EtcdCatchingUp, err.Error())
		return false, false, nil
	}
	return false, err == nil, err
}

// report passes a code on when it or its reason changed.
func (n *node) report(code int, why string) {
	f := bootcode.Fail(code, "%s", why)
	if text := f.Error(); text != n.last {
		n.last = text
		n.o.Report.Failed(f)
	}
}

// passing is for codes that every boot may see for a moment: until nothing has
// moved for a while they are what the step waits for.
func (n *node) passing(code int, why string) {
	if n.stuck.IsZero() {
		n.stuck = time.Now()
	}
	if time.Since(n.stuck) >= n.o.Grace {
		n.report(code, why)
		return
	}
	what, _, _ := strings.Cut(why, "\n")
	if n.last != what {
		n.last = what
		n.o.Report.Waiting(step.Etcd, what)
	}
}

// news passes a line on that is no code, and tells whether it was one.
func (n *node) news(format string, args ...any) bool {
	n.stuck = time.Time{}
	text := fmt.Sprintf(format, args...)
	if text == n.last {
		return false
	}
	n.last = text
	n.o.Report.Done(step.Etcd, text)
	return true
}
