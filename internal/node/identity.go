package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

const (
	nodeArgument  = "imgforge.node"
	claimArgument = "imgforge.claim"
	claimFile     = "/etc/imgforge/claim"
	claimRunFile  = "/run/imgforge/claim"
	// claimCredential is where systemd puts a credential of the machine, which a
	// hypervisor gives by SMBIOS or fw_cfg (systemd.system-credentials), and
	// claimFirmware where the kernel shows an item of QEMU's fw_cfg of our own.
	claimCredential = "/run/credentials/@system/imgforge.claim"
	claimFirmware   = "/sys/firmware/qemu_fw_cfg/by_name/opt/com.github.imgforge/claim/raw"
)

// claimPlaces are where a claim line may be on the machine itself, for messages.
func claimPlaces() []string {
	return append([]string{"the kernel argument " + claimArgument + "="}, claimFiles()...)
}

func claimFiles() []string { return []string{claimFile, claimRunFile, claimCredential, claimFirmware} }

// claimLine is a claim line that was found and read.
type claimLine struct {
	node   string
	key    [32]byte
	source string
}

// claimText is a claim line as it was found.
type claimText struct{ source, text string }

// claimLine reads the claim line from wherever it is on the machine; the zero value
// when there is none. Several are fine when they are the same.
func (h host) claimLine() (claimLine, error) {
	var all []claimText
	for _, text := range h.kernelArguments(claimArgument) {
		all = append(all, claimText{claimPlaces()[0], text})
	}
	for _, file := range claimFiles() {
		if text := h.read(file); text != "" {
			all = append(all, claimText{file, text})
		}
	}
	return agree(all)
}

// agree parses claim lines, which must all be the same.
func agree(all []claimText) (claimLine, error) {
	var first claimLine
	for _, f := range all {
		node, key, err := artifact.ParseClaim(f.text)
		if err != nil {
			return claimLine{}, bootcode.Fail(bootcode.ClaimDamaged, "from %s: %v", f.source, err)
		}
		c := claimLine{node, key, f.source}
		if first.source == "" {
			first = c
		}
		if c.node != first.node {
			return claimLine{}, bootcode.Fail(bootcode.TwoSlots, "the claim line from %s is for %s, the one from %s for %s", first.source, first.node, c.source, c.node)
		}
		if c.key != first.key {
			return claimLine{}, bootcode.Fail(bootcode.ClaimDamaged, "the claim lines for %s from %s and from %s differ", c.node, first.source, c.source)
		}
	}
	return first, nil
}

// hint is one thing that tells who a machine is.
type hint struct {
	source string // for messages
	value  string // as it stands in a slot's matches, or the node name
	// told means that somebody said so, rather than that the machine happens to be
	// called so: a node that does not exist is then an error.
	told bool
}

func (i hint) String() string {
	value := strings.TrimPrefix(i.value, "mac:")
	if strings.HasSuffix(i.source, "=") {
		return i.source + value
	}
	return i.source + " " + value
}

// hints gathers everything that tells who the machine is.
func (h host) hints(c claimLine) []hint {
	var out []hint
	for _, name := range h.kernelArguments(nodeArgument) {
		out = append(out, hint{"kernel argument " + nodeArgument + "=", name, true})
	}
	if c.source != "" {
		out = append(out, hint{"claim line from " + c.source + " for", c.node, true})
	}
	if name := strings.ToLower(strings.TrimSuffix(h.hostname(), ".")); name != "" {
		out = append(out, hint{"host name", name, false})
		if short, _, qualified := strings.Cut(name, "."); qualified {
			out = append(out, hint{"host name", short, false})
		}
	}
	for _, mac := range h.macs() {
		out = append(out, hint{"hardware address", "mac:" + mac, false})
	}
	return out
}

// choose finds the one slot that the hints name. It never guesses: nothing, two
// slots, or a told name without a slot are failures.
func choose(slots []slot, hints []hint) (slot, hint, error) {
	var chosen slot
	var by hint
	for _, i := range hints {
		found := false
		for _, s := range slots {
			if !s.answersTo(i) {
				continue
			}
			found = true
			if by.value != "" && chosen.node != s.node {
				return slot{}, hint{}, bootcode.Fail(bootcode.TwoSlots, "%s says %s, %s says %s", by, chosen.node, i, s.node)
			}
			if by.value == "" {
				chosen, by = s, i
			}
		}
		if i.told && !found {
			return slot{}, hint{}, bootcode.Fail(bootcode.UnknownNode, "%s; the slots are %s", i, strings.Join(nodesOf(slots), ", "))
		}
	}
	if by.value == "" {
		return slot{}, hint{}, bootcode.Fail(bootcode.NoSlot, "%s", whyNone(slots, hints))
	}
	return chosen, by, nil
}

// whyNone says what the machine is called, and what it could be.
func whyNone(slots []slot, hints []hint) string {
	return fmt.Sprintf("this machine has %s\nthe slots are %s", describe(hints), strings.Join(nodesOf(slots), ", "))
}

// answersTo tells whether a hint means this slot. The slot of a told name is
// that node's own; everything else must be among the matches.
func (s slot) answersTo(i hint) bool {
	if i.told {
		return s.node == i.value
	}
	return slices.ContainsFunc(s.match, func(m string) bool { return strings.EqualFold(m, i.value) })
}

func describe(hints []hint) string {
	if len(hints) == 0 {
		return "no host name and no network interface"
	}
	parts := make([]string, len(hints))
	for i, h := range hints {
		parts[i] = fmt.Sprint(h)
	}
	return strings.Join(parts, ", ")
}
