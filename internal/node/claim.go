package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/userdata"
)

// Claim makes a machine one node of the cluster, once and for good. What it needs
// of the running system is fields, so that a folder can stand in for a machine.
type Claim struct {
	Root   string // "/" on a node
	Report step.Reporter
	// Wait is how long to wait for a name: some networks give it by DHCP, and a
	// provider's metadata service is there no sooner than the network.
	Wait time.Duration
	// Metadata finds the service that knows a provider's tags; nil asks nobody.
	Metadata func(provider string) (metadata, bool)
	// UserData finds the service that has the claim line of a server whose slots are
	// sealed; nil asks nobody.
	UserData func(provider string) (userdata.Service, bool)
	// SetHostname changes the name of the running system.
	SetHostname func(name string) error
	// Later runs the helper with these arguments once cloud-init has ended.
	Later func(args ...string) error
	// TagGrace is how long that service may be silent before a wrong name is told; 0 is tagGrace.
	TagGrace time.Duration
	// Again is how long it is between two looks for a name; 0 is a second.
	Again time.Duration
	// Fault, when set, is called at named steps, so that tests can end the process there.
	Fault func(step string)
}

// claimed is the text of /var/lib/imgforge/claimed.
type claimed struct {
	Node string `json:"node"`
	By   string `json:"by"` // how, in words
}

// Run claims. It may be run again at any time, in particular after it was killed:
// the slots are removed last, so until then it starts over, and afterwards it
// keeps what was claimed. The error is a *[bootcode.Failure].
func (c Claim) Run(ctx context.Context) error {
	h := host{root: c.Root, fault: c.Fault}
	slots, err := h.slots()
	if err != nil {
		return err
	}
	before, err := h.claimed()
	if err != nil {
		return err
	}
	who := before
	switch {
	case before.Node == "" && len(slots) > 0:
		who, err = c.fromSlots(ctx, h, slots)
	case before.Node == "":
		who, err = c.fromDocument(h)
	default:
		err = c.again(ctx, h, before, slots)
	}
	if err != nil {
		return err
	}
	return c.settle(h, who)
}

// fromSlots is the first claim of a role document.
func (c Claim) fromSlots(ctx context.Context, h host, slots []slot) (claimed, error) {
	line, err := c.line(ctx, h, slots)
	if err != nil {
		return claimed{}, err
	}
	s, by, err := c.await(ctx, h, slots, line)
	if err != nil {
		return claimed{}, err
	}
	if err := c.take(h, s, line); err != nil {
		return claimed{}, err
	}
	return claimed{Node: s.node, By: by.String()}, nil
}

// take writes the files of a slot.
func (c Claim) take(h host, s slot, line claimLine) error {
	opened, err := s.open(line)
	if err != nil {
		return err
	}
	h.at("slot opened")
	if err := h.place(opened.Files); err != nil {
		return bootcode.Fail(bootcode.CannotWrite, "%v", err)
	}
	h.at("files placed")
	return h.checkIdentity(s.node)
}

// fromDocument is the first claim of a node document: its files are in place
// already, and it is authoritative about the name.
func (c Claim) fromDocument(h host) (claimed, error) {
	if !h.exists(artifact.NodeFilePath) {
		return claimed{}, bootcode.Fail(bootcode.NothingToClaim, "neither %s nor a slot in %s exists", artifact.NodeFilePath, artifact.SlotDir)
	}
	n, err := h.nodeFile()
	if err != nil {
		return claimed{}, bootcode.Fail(bootcode.IdentityDamaged, "%v", err)
	}
	c.warnOfOtherNames(h, n.Node)
	return claimed{Node: n.Node, By: "node document"}, nil
}

// again is every later run: the node stays what it is. Slots that are still there
// are those of a killed run, or of a payload that was applied anew.
func (c Claim) again(ctx context.Context, h host, before claimed, slots []slot) error {
	for _, s := range slots {
		if s.node != before.Node {
			continue
		}
		line, err := c.line(ctx, h, []slot{s})
		if err != nil {
			return err
		}
		if err := c.take(h, s, line); err != nil {
			return err
		}
	}
	c.warnOfOtherNames(h, before.Node)
	return h.checkIdentity(before.Node)
}

// settle does what follows every claim, in the order that survives a kill: name,
// record, then the keys of others.
func (c Claim) settle(h host, who claimed) error {
	if err := c.name(h, who.Node); err != nil {
		return bootcode.Fail(bootcode.CannotWrite, "%v", err)
	}
	h.at("named")
	text, err := json.MarshalIndent(who, "", "  ")
	if err != nil {
		return bootcode.Fail(bootcode.CannotWrite, "%v", err)
	}
	if h.read(artifact.ClaimedPath) != string(text) {
		if err := h.place([]artifact.File{{Path: artifact.ClaimedPath, Contents: append(text, '\n')}}); err != nil {
			return bootcode.Fail(bootcode.CannotWrite, "%v", err)
		}
	}
	h.at("recorded")
	if err := errors.Join(h.dropSlots(who.Node), h.remove(claimFile), h.remove(claimRunFile)); err != nil {
		return bootcode.Fail(bootcode.CannotWrite, "%v", err)
	}
	h.at("slots removed")
	c.Report.Done(step.Claim, fmt.Sprintf("this is %s (%s)", who.Node, who.By))
	c.wipe(h) // what it leaves behind is the claim's last word
	return nil
}

// name gives the machine the node's name, now and for every boot.
func (c Claim) name(h host, node string) error {
	if h.read("/etc/hostname") != node {
		if err := h.place([]artifact.File{{Path: "/etc/hostname", Contents: []byte(node + "\n")}}); err != nil {
			return err
		}
	}
	if h.hostname() == node {
		return nil
	}
	if err := c.SetHostname(node); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	return nil
}

// wipe removes copies of the payload now or, while cloud-init still needs its
// own, as soon as it has ended.
func (c Claim) wipe(h host) {
	if h.cloudInitRuns() {
		if err := c.Later("wipe"); err != nil {
			c.Report.Failed(bootcode.Fail(bootcode.WipeIncomplete, "cannot wait for cloud-init: %v", err))
		}
		return
	}
	if err := h.wipe(); err != nil {
		c.Report.Failed(asFailure(err))
	}
}

// warnOfOtherNames tells when something on the machine names another node.
func (c Claim) warnOfOtherNames(h host, node string) {
	var other []string
	for _, name := range h.kernelArguments(nodeArgument) {
		if name != node {
			other = append(other, "kernel argument "+nodeArgument+"= "+name)
		}
	}
	if short, _, _ := strings.Cut(h.hostname(), "."); !unnamed(short) && short != node && h.hostname() != node {
		other = append(other, "host name "+h.hostname())
	}
	if len(other) > 0 {
		c.Report.Failed(bootcode.Fail(bootcode.NameDiffers, "this is %s, but the machine has %s", node, strings.Join(other, ", ")))
	}
}

// claimed reads what an earlier run recorded; the zero value when there was none.
func (h host) claimed() (claimed, error) {
	data, err := os.ReadFile(h.path(artifact.ClaimedPath))
	if errors.Is(err, os.ErrNotExist) {
		return claimed{}, nil
	}
	var c claimed
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err == nil && c.Node == "" {
		err = errors.New("it names no node")
	}
	if err != nil {
		return claimed{}, bootcode.Fail(bootcode.IdentityDamaged, "%s: %v", artifact.ClaimedPath, err)
	}
	return c, nil
}

func (h host) nodeFile() (artifact.NodeFile, error) {
	return artifact.ReadNodeFile(h.root)
}

// checkIdentity proves that the files in place are those of node.
func (h host) checkIdentity(node string) error {
	n, err := h.nodeFile()
	if err != nil {
		return bootcode.Fail(bootcode.IdentityDamaged, "this machine is %s: %v", node, err)
	}
	if n.Node != node {
		return bootcode.Fail(bootcode.IdentityDamaged, "this machine is %s, but %s is that of %s", node, artifact.NodeFilePath, n.Node)
	}
	return nil
}
