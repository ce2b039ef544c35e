package node

import (
	"fmt"
	"strings"
)

// Code is one way in which a boot step can end badly. The numbers are stable:
// people search for them. The hundreds follow the boot: 1 claim, 2 time, 3 mesh, 4
// images, 5 etcd, 6 control plane, 7 add-ons, 8 endpoint, 9 reboot.
type Code struct {
	Number  int
	Name    string
	Step    string
	Warning bool   // the step went on
	What    string // what happened
	Change  string // what to change
}

// Failure is a code with the reason at hand. It is the error of every command of
// the helper that failed in a way an operator can act on.
type Failure struct {
	Code Code
	Why  string
}

// Error is the text that console and journal show.
func (f *Failure) Error() string {
	kind := "code"
	if f.Code.Warning {
		kind = "warning"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "imgforge: %s %d %s in step %s: %s\n", kind, f.Code.Number, f.Code.Name, f.Code.Step, f.Code.What)
	if f.Why != "" {
		fmt.Fprintf(&b, "  why:    %s\n", strings.ReplaceAll(f.Why, "\n", "\n          "))
	}
	fmt.Fprintf(&b, "  change: %s", f.Code.Change)
	return b.String()
}

// Is makes errors.Is compare codes, whatever the reason.
func (f *Failure) Is(target error) bool {
	t, ok := target.(*Failure)
	return ok && t.Code.Number == f.Code.Number && t.Why == ""
}

// fail makes the failure of a code.
func fail(number int, format string, args ...any) *Failure {
	c, _ := codeOf(number)
	return &Failure{Code: c, Why: fmt.Sprintf(format, args...)}
}

func codeOf(number int) (Code, bool) {
	for _, c := range codes {
		if c.Number == number {
			return c, true
		}
	}
	return Code{Number: number, Name: "unknown", Step: "unknown", Change: "report this as a defect of imgforge-node"}, false
}

// Codes lists every code, by number.
func Codes() []Code { return append([]Code(nil), codes[:]...) }

const (
	codeNothing       = 101
	codeNoSlot        = 102
	codeUnknownNode   = 103
	codeTwoSlots      = 104
	codeClaimDamaged  = 105
	codeClaimMissing  = 106
	codeClaimWrong    = 107
	codeSlotDamaged   = 108
	codeCannotWrite   = 109
	codeNameDiffers   = 110
	codeIdentity      = 111
	codeWipe          = 112
	codeEndpointDown  = 801
	codeProxyDown     = 802
	codeCheckConfig   = 803
	codeNotifyMeaning = 804
	codeNotifyRecord  = 805
)

var codes = [...]Code{
	{codeNothing, "nothing-to-claim", "claim", false,
		"this machine carries neither the files of a node nor slots to choose from",
		"boot it with the user-data that `imgforge render --role ROLE` or `--node NAME` prints, complete and unedited"},
	{codeNoSlot, "no-slot", "claim", false,
		"no slot of this payload is for this machine",
		"give the server the name of one of these nodes, or the kernel argument imgforge.node=NAME, or set roles.<role>.nodes[].mac in the cluster file; for a node beyond them raise count or reserve and render again"},
	{codeUnknownNode, "unknown-node", "claim", false,
		"the node that this machine was told to be has no slot in this payload",
		"correct the name, or boot the payload of the role that the node belongs to, or raise count or reserve in the cluster file and render again"},
	{codeTwoSlots, "two-slots", "claim", false,
		"this machine is told to be two nodes at once",
		"make them agree: rename the server, or drop the kernel argument or claim line that is wrong"},
	{codeClaimDamaged, "claim-line-damaged", "claim", false,
		"the claim line of this machine cannot be read",
		"copy the whole line that `imgforge claims` prints for this node and boot again"},
	{codeClaimMissing, "claim-line-missing", "claim", false,
		"the slot of this machine is sealed, and nothing on it carries the claim line",
		"pass the line that `imgforge claims` prints for this node as kernel argument imgforge.claim=LINE or as the file /etc/imgforge/claim"},
	{codeClaimWrong, "claim-line-wrong", "claim", false,
		"the claim line of this machine does not open its slot",
		"take claim line and payload from the same store: run `imgforge claims` and `imgforge render --sealed` again"},
	{codeSlotDamaged, "slot-damaged", "claim", false,
		"a slot of this payload cannot be read",
		"render the payload again with the imgforge that the image was made with, and boot it unedited"},
	{codeCannotWrite, "cannot-write", "claim", false,
		"the files of this node cannot be written; none of the slots was removed, and the next boot tries again",
		"make room on the root file system, or make it writable, and boot again; a user or group that is missing belongs into the `extra` of the cluster file"},
	{codeNameDiffers, "name-differs", "claim", true,
		"this machine has another name than the node it is; it takes the name of the node",
		"nothing, when that is the server you meant; otherwise give it the payload of its own node"},
	{codeIdentity, "identity-damaged", "claim", false,
		"this machine was claimed, but the files that say for which node are missing or damaged",
		"replace the machine: wipe its disk and boot the same payload again"},
	{codeWipe, "wipe-incomplete", "claim", true,
		"copies of the payload, with the keys in it, are left on this machine",
		"remove the files named here, or replace the machine when they hold keys of other nodes"},
	{codeEndpointDown, "endpoint-down", "endpoint", false,
		"neither the API server nor haproxy of this node answers that the API is ready; another node takes the address",
		"nothing, when this lasts seconds; otherwise look at etcd, kube-apiserver and haproxy of this node"},
	{codeProxyDown, "proxy-down", "endpoint", false,
		"haproxy of this node does not answer; another node takes the address",
		"nothing, when this lasts seconds; otherwise look at haproxy of this node"},
	{codeCheckConfig, "check-unable", "endpoint", false,
		"the check cannot find out what to ask",
		"look at the claim of this node: it writes what is missing here"},
	{codeNotifyMeaning, "notify-unknown", "endpoint", false,
		"keepalived told something that this helper does not understand",
		"use the keepalived image that belongs to this imgforge"},
	{codeNotifyRecord, "notify-unrecorded", "endpoint", true,
		"a change of the floating address could not be recorded, so the status of this node is stale; the address itself is not affected",
		"make /run/imgforge writable for keepalived"},
}
