package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// tagGrace is how long a metadata service may be silent before a name that fits
// nothing is told as an error: networks take some seconds.
const tagGrace = 10 * time.Second

// await chooses a slot, and asks again while the machine may still get its name.
//
// The provider's tags are asked for only where nothing on the machine decides: its
// metadata service is up some time after the network is, and which node a machine
// becomes must not depend on who was faster. A tag has been put there by somebody, so
// one that names no slot is an error, as with the kernel argument.
func (c Claim) await(ctx context.Context, h host, slots []slot, line claimLine) (slot, hint, error) {
	began := time.Now()
	for {
		hints := h.hints(line)
		s, by, err := choose(slots, hints)
		if !errors.Is(err, bootcode.Fail(bootcode.NoSlot, "")) {
			return s, by, err
		}
		t := c.askTags(ctx, h)
		if len(t.hints) > 0 {
			return choose(slots, append(hints, t.hints...))
		}
		none := bootcode.Fail(bootcode.NoSlot, "%s", strings.Join(append([]string{whyNone(slots, hints)}, t.lines()...), "\n"))
		passed := time.Since(began)
		if passed >= c.Wait {
			return s, by, none
		}
		if name, _, _ := strings.Cut(h.hostname(), "."); unnamed(name) || t.err != nil && passed < cmp.Or(c.TagGrace, tagGrace) {
			c.Report.Waiting(step.Claim, waitsFor(slots, t))
		} else {
			c.Report.Failed(none) // it may be renamed yet, but whoever reads this can act now
		}
		h.at("no name yet")
		if !sleep(ctx, cmp.Or(c.Again, time.Second)) {
			return s, by, none
		}
	}
}

// tagged is what a metadata service answered.
type tagged struct {
	provider string // empty where there is none to ask
	hints    []hint
	err      error
}

func (c Claim) askTags(ctx context.Context, h host) tagged {
	if c.Metadata == nil {
		return tagged{}
	}
	m, ok := c.Metadata(h.provider())
	if !ok {
		return tagged{}
	}
	hints, err := m.hints(ctx)
	return tagged{m.provider, hints, err}
}

// lines tell, for the reason of a failure, that tags were asked for.
func (t tagged) lines() []string {
	switch {
	case t.err != nil:
		return []string{t.err.Error()}
	case t.provider != "":
		return []string{"the metadata service of " + t.provider + " has no tag " + tagName + " for it"}
	}
	return nil
}

// waitsFor says what would end the waiting.
func waitsFor(slots []slot, t tagged) string {
	text := "for a host name; the slots are " + strings.Join(nodesOf(slots), ", ")
	if t.err != nil {
		text = fmt.Sprintf("for a host name, or a tag %s=NAME: %v; the slots are %s", tagName, t.err, strings.Join(nodesOf(slots), ", "))
	}
	return text
}

// unnamed tells that a host name is none that anybody gave: those are what images
// are called before.
func unnamed(name string) bool {
	return slices.Contains([]string{"", "localhost", "debian", "ubuntu", "fedora", "flatcar"}, name)
}
