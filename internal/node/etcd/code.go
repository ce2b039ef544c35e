package etcd

import (
	"fmt"
	"strings"
)

// Code is one thing that keeps a master from being a voter. The numbers are stable
// and belong to the hundred that the helper's boot codes keep for etcd.
type Code struct {
	Number int
	Name   string
	// Passing codes end without anybody's help once the other masters are there.
	Passing bool
	What    string // what happened
	Change  string // what to change
}

const (
	codeSilent       = 501
	codeFounders     = 502
	codeNoQuorum     = 503
	codeTurn         = 504
	codeVoterMissing = 505
	codeStarting     = 506
	codeCatchingUp   = 507
	codeQuorumGone   = 511
	codeDataLost     = 512
	codeForeignData  = 513
	codeSlotTaken    = 514
	codeDamaged      = 515
	codeVanished     = 516
	codePayloads     = 517
	codeTwoClusters  = 518
	codeRestore      = 519
	codeStep         = 521
	codeNode         = 522
)

var codes = [...]Code{
	{codeSilent, "masters-silent", true,
		"no master that answers has data, and some do not answer; silence is never consent, so nothing is founded",
		"nothing, while the others boot; otherwise look at the masters named here: power, mesh, claim, and TCP port 2383 between masters"},
	{codeFounders, "founders-undecided", true,
		"the founders have not all agreed yet to make the first etcd",
		"nothing, when this lasts seconds; otherwise look at the codes of the masters named here"},
	{codeNoQuorum, "no-quorum", true,
		"the cluster has data, but no majority of its members answers; this node waits for them and changes nothing",
		"bring the other masters back; do not wipe any that has data"},
	{codeTurn, "join-turn", true,
		"another master is joining, and masters join one at a time",
		"nothing, while it joins; if that machine will not come back, replace it: it then ends its own join"},
	{codeVoterMissing, "voter-missing", true,
		"etcd 3.6 takes in nobody while one of its voters is not connected",
		"bring the master named here back, or replace it: it removes its own old member, and both then join"},
	{codeStarting, "starting", true,
		"etcd was told to run and does not answer yet",
		"nothing, for some minutes; otherwise look at the kubelet and at the container etcd of this node, whether its image is there and what it logs"},
	{codeCatchingUp, "catching-up", true,
		"this node's etcd copies the data of the others and has no vote yet",
		"nothing; the time depends on the size of the data and the speed of the mesh"},
	{codeQuorumGone, "quorum-gone", false,
		"too many masters have lost their data at once for the rest to be a majority",
		"bring a master back that still has its data if there is one; otherwise set etcd.restoreFrom, render again, and boot all masters with empty disks"},
	{codeDataLost, "data-lost", false,
		"this cluster was founded before, and no master has data any more; this node founds no empty cluster in its place",
		"if the data is on a disk that is not mounted, mount it and boot again; otherwise set etcd.restoreFrom to a snapshot, render again and boot all masters; or, to begin anew without the old data, set etcd.founded to false and boot all masters with empty disks"},
	{codeForeignData, "foreign-data", false,
		"the data of etcd on this machine is not this node's",
		"boot the payload that belongs to this disk, or wipe the disk: the node then joins as new"},
	{codeSlotTaken, "slot-taken", false,
		"another machine took this node's place in etcd",
		"switch one of the two machines off, whichever should not be this node; if it is the other, wipe the disk of this one too"},
	{codeDamaged, "data-damaged", false,
		"the data of etcd on this machine cannot be read, and without a quorum it may be needed to rescue the cluster",
		"bring the other masters back: with a quorum this node moves the data aside and joins anew; otherwise copy /var/lib/etcd before anything else and set etcd.restoreFrom"},
	{codeVanished, "data-vanished", false,
		"the data of etcd was removed or hidden while etcd runs",
		"when the other masters are well, reboot this machine: it joins anew; until then do not stop its etcd"},
	{codePayloads, "payloads-differ", false,
		"the masters carry payloads that would found different clusters",
		"render all master payloads from the same cluster file and store, and boot them again"},
	{codeTwoClusters, "two-clusters", false,
		"a master serves the data of another cluster",
		"find out which of the two is the right one; wipe the machines of the other and boot the right payload on them"},
	{codeRestore, "restore-unable", false,
		"no master has data, and the snapshot of etcd.restoreFrom was not brought back",
		"see why, and that every master can reach the snapshot; this node tries again"},
	{codeStep, "step-failed", true,
		"a step on the way to a member of etcd failed; this node tries again",
		"nothing, when this lasts seconds; otherwise see why"},
	{codeNode, "etcd-unable", false,
		"this node lacks what it needs to ask the other masters or to start etcd",
		"look at the claim of this node: it writes what is missing here"},
}

// Codes lists every code, by number.
func Codes() []Code { return append([]Code(nil), codes[:]...) }

// Text is what console and journal show for a code.
func Text(number int, why string) string {
	c := Code{Number: number, Name: "unknown", Change: "report this as a defect of imgforge-node"}
	for _, known := range codes {
		if known.Number == number {
			c = known
		}
	}
	kind := "code"
	if c.Passing {
		kind = "warning"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "imgforge: %s %d %s in step etcd: %s\n", kind, c.Number, c.Name, c.What)
	if why != "" {
		fmt.Fprintf(&b, "  why:    %s\n", strings.ReplaceAll(why, "\n", "\n          "))
	}
	fmt.Fprintf(&b, "  change: %s", c.Change)
	return b.String()
}
