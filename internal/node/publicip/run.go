// Package publicip keeps a role's public address at the proxy that VRRP has made
// master: it attaches the address to this server by the provider's API. It listens to
// what keepalived's notify hook leaves, so that the hook itself never waits for a
// network. Who is to have the address it leaves to VRRP.
package publicip

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options is what a run needs.
type Options struct {
	Root   string // "/" on a node
	Report step.Reporter
	// URL is that of the API; empty: the provider's own.
	URL  string
	Pace Pace // zero: a few looks a minute
}

const (
	listen  = 250 * time.Millisecond // between two looks at what keepalived told
	doubt   = 4                      // looks between two doubts whether that still holds
	first   = time.Second            // before the second try; each pause is twice the last
	longest = 30 * time.Second
)

// Pace is how often a run looks at who has the address.
type Pace struct {
	Master time.Duration // while this node is master
	Other  time.Duration // while it is not
	// Grace is how long an address may stay at a node that is not master: whoever is
	// should have taken it.
	Grace time.Duration
}

// defaultPace makes a few calls a minute, of which the API takes thousands.
func defaultPace() Pace {
	return Pace{Master: 10 * time.Second, Other: 30 * time.Second, Grace: 45 * time.Second}
}

// mover is one run.
type mover struct {
	Options
	file    artifact.PublicIPFile
	self    string // name of this node
	address netip.Addr
	at      *provider

	telling string // which word of keepalived was heard last
	state   state  // what this node was then
	claimed bool
	staying time.Time // since when it is here although this node is not master
}

// Run keeps the address where VRRP has it until ctx ends. It returns an error when it
// cannot begin.
func Run(ctx context.Context, o Options) error {
	m, err := newMover(o)
	if err != nil {
		return bootcode.Fail(bootcode.PublicIPUnable, "%v", err)
	}
	for ctx.Err() == nil {
		m.settle(ctx)
	}
	return nil
}

func newMover(o Options) (*mover, error) {
	data, err := os.ReadFile(filepath.Join(o.Root, artifact.PublicIPPath))
	if err != nil {
		return nil, err
	}
	file, err := artifact.ParsePublicIPFile(data)
	if err != nil {
		return nil, err
	}
	n, err := artifact.ReadNodeFile(o.Root)
	if err != nil {
		return nil, err
	}
	at, err := newProvider(file, o.URL)
	if err != nil {
		return nil, err
	}
	address, err := netip.ParseAddr(file.Address)
	if err != nil {
		return nil, err
	}
	if o.Pace == (Pace{}) {
		o.Pace = defaultPace()
	}
	return &mover{Options: o, file: file, self: n.Node, address: address, at: at, claimed: true}, nil
}

// settle tries until all is as it should be, then waits for news or for the next look.
func (m *mover) settle(ctx context.Context) {
	for pause := first; ; pause = min(2*pause, longest) {
		s := m.listen()
		wait := m.Pace.Other
		if s == master {
			wait = m.Pace.Master
		}
		act, err := m.try(ctx, s)
		acted := act == take || act == release
		if err != nil {
			m.complain(err)
		}
		if err != nil || acted { // once more: did it help?
			wait = pause
		}
		if m.await(ctx, wait) || err == nil && !acted || ctx.Err() != nil {
			return // news begin anew, without a pause
		}
	}
}

// listen takes note of what keepalived told.
func (m *mover) listen() state {
	s, telling := told(m.Root)
	if telling != m.telling {
		m.telling = telling
		m.claimed = m.claimed || s == master
		m.staying = time.Time{}
	}
	m.state = m.really(s)
	return m.state
}

// really doubts a master that does not hold the address itself.
func (m *mover) really(s state) state {
	if s == master && !held(m.Root, m.address) {
		return unknown
	}
	return s
}

// try looks and does at most one thing. Its own state is asked once more right before.
func (m *mover) try(ctx context.Context, s state) (action, error) {
	if s == unknown && m.telling == "" {
		return rest, nil // keepalived has yet to say something
	}
	if err := m.at.whoAmI(ctx); err != nil {
		return rest, err
	}
	h, err := m.at.holder(ctx)
	if err != nil {
		return rest, err
	}
	now, _ := told(m.Root)
	v := view{Self: m.self, Proxies: m.file.Proxies, State: m.really(now), Claimed: m.claimed, Mine: h.id == m.at.self, Holder: h.name, Loose: h.id == ""}
	v.Stale = m.stale(v)
	act := decide(v)
	switch act {
	case take:
		err = m.at.attach(ctx)
	case release:
		err = m.at.detach(ctx)
	default:
		m.say(v, act)
	}
	// Once the API has said yes the claim is done, even if another node's came after it:
	// two that claim until they see it at themselves could go on forever.
	if v.Mine || act == take && err == nil {
		m.claimed = false
	}
	return act, err
}

// stale notes since when the address is here and should not be.
func (m *mover) stale(v view) bool {
	if v.State == master || !v.Mine {
		m.staying = time.Time{}
		return false
	}
	if m.staying.IsZero() {
		m.staying = time.Now()
	}
	return time.Since(m.staying) >= m.Pace.Grace
}

// say tells how it stands, once.
func (m *mover) say(v view, act action) {
	address := m.file.Address
	switch {
	case act == leave:
		m.Report.Failed(bootcode.Fail(bootcode.PublicIPElsewhere, "%s is attached to the server %q, and this node is master", address, v.Holder))
	case act == yield:
		m.Report.Waiting(step.PublicIP, address+" stays at "+v.Holder+", which comes first: both are master, so they do not hear each other")
	case v.State == master:
		m.Report.Done(step.PublicIP, address+" is attached to this node, which is master")
	case v.Mine:
		m.Report.Done(step.PublicIP, address+" is attached to this node until the master takes it")
	case v.Loose:
		m.Report.Waiting(step.PublicIP, address+" is attached to no server; whoever is master takes it")
	default:
		m.Report.Done(step.PublicIP, address+" is attached to "+v.Holder)
	}
}

// complain reports a try that failed.
func (m *mover) complain(err error) {
	code := bootcode.PublicIPUnmoved
	if _, ok := errors.AsType[*refusal](err); ok {
		code = bootcode.PublicIPRefused
	}
	m.Report.Failed(bootcode.Fail(code, "%v", err))
}

// await waits, and returns true as soon as this node became something else.
func (m *mover) await(ctx context.Context, d time.Duration) bool {
	end := time.Now().Add(d)
	for tick := 1; time.Now().Before(end); tick++ {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(listen):
		}
		s, telling := told(m.Root)
		if telling != m.telling || tick%doubt == 0 && m.really(s) != m.state {
			return true
		}
	}
	return false
}
