package bootcode

// Codes of etcd's membership.
const (
	EtcdSilent         = 501
	EtcdFounders       = 502
	EtcdNoQuorum       = 503
	EtcdTurn           = 504
	EtcdVoterMissing   = 505
	EtcdStarting       = 506
	EtcdCatchingUp     = 507
	EtcdRestoring      = 508
	EtcdQuorumGone     = 511
	EtcdDataLost       = 512
	EtcdForeignData    = 513
	EtcdSlotTaken      = 514
	EtcdDamaged        = 515
	EtcdVanished       = 516
	EtcdPayloads       = 517
	EtcdTwoClusters    = 518
	EtcdRestore        = 519
	EtcdRestoreBlocked = 520
	EtcdStepFailed     = 521
	EtcdUnable         = 522
	EtcdEnds           = 523
)

var etcdCodes = [...]Code{
	{EtcdSilent, "masters-silent", "etcd", true,
		"no master that answers has data, and some do not answer; silence is never consent, so nothing is founded",
		"nothing, while the others boot; otherwise look at the masters named here: power, mesh, claim, and TCP port 2383 between masters"},
	{EtcdFounders, "founders-undecided", "etcd", true,
		"the founders have not all agreed yet to make the first etcd",
		"nothing, when this lasts seconds; otherwise look at the codes of the masters named here"},
	{EtcdNoQuorum, "no-quorum", "etcd", true,
		"the cluster has data, but no majority of its members answers; this node waits for them and changes nothing",
		"bring the other masters back; do not wipe any that has data"},
	{EtcdTurn, "join-turn", "etcd", true,
		"another master is joining, and masters join one at a time",
		"nothing, while it joins; if that machine will not come back, replace it: it then ends its own join"},
	{EtcdVoterMissing, "voter-missing", "etcd", true,
		"etcd 3.6 takes in nobody while one of its voters is not connected",
		"bring the master named here back, or replace it: it removes its own old member, and both then join"},
	{EtcdStarting, "starting", "etcd", true,
		"etcd was told to run and does not answer yet",
		"nothing, for some minutes; otherwise look at the kubelet and at the container etcd of this node, whether its image is there and what it logs"},
	{EtcdCatchingUp, "catching-up", "etcd", true,
		"this node's etcd copies the data of the others and has no vote yet",
		"nothing; the time depends on the size of the data and the speed of the mesh"},
	{EtcdRestoring, "restoring", "etcd", true,
		"the masters are about to restore a snapshot, and wait for one of them",
		"nothing, when this lasts minutes: snapshots are large; otherwise look at the codes of the masters named here"},
	{EtcdQuorumGone, "quorum-gone", "etcd", false,
		"too many masters have lost their data at once for the rest to be a majority",
		"bring a master back that still has its data if there is one; otherwise restore a snapshot: set etcd.restoreFrom, render again, and boot all masters with those payloads, the lost ones with empty disks"},
	{EtcdDataLost, "data-lost", "etcd", false,
		"this cluster was founded before, and no master has data any more; this node founds no empty cluster in its place",
		"if the data is on a disk that is not mounted, mount it and boot again; otherwise restore a snapshot: set etcd.restoreFrom, render again, and boot all masters with those payloads; without any, to begin anew, set etcd.founded to false, render again, and boot all masters with empty disks"},
	{EtcdForeignData, "foreign-data", "etcd", false,
		"the data of etcd on this machine is not this node's",
		"boot the payload that belongs to this disk, or wipe the disk: the node then joins as new"},
	{EtcdSlotTaken, "slot-taken", "etcd", false,
		"another machine took this node's place in etcd",
		"switch one of the two machines off, whichever should not be this node; if it is the other, wipe the disk of this one too"},
	{EtcdDamaged, "data-damaged", "etcd", false,
		"the data of etcd on this machine cannot be read, and without a quorum it may be needed to rescue the cluster",
		"bring the other masters back: with a quorum this node moves the data aside and joins anew; otherwise keep this disk: a person can rescue what is left in /var/lib/etcd"},
	{EtcdVanished, "data-vanished", "etcd", false,
		"the data of etcd was removed or hidden while etcd runs",
		"when the other masters are well, reboot this machine: it joins anew; until then do not stop its etcd"},
	{EtcdPayloads, "payloads-differ", "etcd", false,
		"the masters carry payloads that would found different clusters",
		"render all master payloads from the same cluster file and store, and boot them with empty disks: nothing has been founded yet"},
	{EtcdTwoClusters, "two-clusters", "etcd", false,
		"a master serves the data of another cluster",
		"find out which of the two is the right one; wipe the machines of the other and boot the right payload on them"},
	{EtcdRestore, "restore-unable", "etcd", false,
		"no master has data, and the snapshot that etcd.restoreFrom names cannot be brought back; nothing is founded in its place",
		"see why: a file must be on one of the masters, and a bucket or URL must be reachable with what etcd.snapshot.s3 says; a snapshot that does not open belongs to another store, or is damaged: write the one before it into etcd.restoreFrom, render again, and boot all masters with those payloads"},
	{EtcdRestoreBlocked, "restore-blocked", "etcd", false,
		"a snapshot is to be restored, and a master still has data of the cluster that lost its majority",
		"bring a master back that has its data too: with a majority nothing has to be restored; otherwise write the id of the cluster that is named here into etcd.abandon, in quotes, render again, and boot all masters with those payloads: the data is then moved aside on its disk, not deleted"},
	{EtcdStepFailed, "step-failed", "etcd", true,
		"a step on the way to a member of etcd failed; this node tries again",
		"nothing, when this lasts seconds; otherwise see why"},
	{EtcdUnable, "etcd-unable", "etcd", false,
		"this node lacks what it needs to ask the other masters or to start etcd",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here"},
	{EtcdEnds, "etcd-ends", "etcd", false,
		"etcd of this node was started on its data and ends again and again",
		"see why: it is etcd's own last word. No space: make room, and etcd goes on by itself. A flag: correct kubernetes.extraArgs in the cluster file. Damaged or inconsistent data, while the other masters are well: boot the same payload with an empty disk, and this node joins anew; while they are not, keep this disk"},
}
