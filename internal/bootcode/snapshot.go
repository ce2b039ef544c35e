package bootcode

// Codes of snapshots of etcd.
const (
	SnapshotFailed  = 531
	SnapshotDisk    = 532
	SnapshotBucket  = 533
	SnapshotOverdue = 534
	SnapshotUnable  = 535
)

var snapshotCodes = [...]Code{
	{SnapshotFailed, "snapshot-failed", "snapshot", true,
		"a snapshot of etcd could not be taken, or what was written did not open again; it is tried again, and older snapshots stay",
		"see why; when etcd did not answer, look at the codes of step etcd; when what was written is damaged, look at the disk"},
	{SnapshotDisk, "snapshot-disk", "snapshot", true,
		"there is no room, or no right to write, for a snapshot of etcd on this disk; older snapshots stay",
		"make room on the disk of /var/lib/imgforge, or keep fewer snapshots: etcd.snapshot.keep, render again and replace the masters, one at a time"},
	{SnapshotBucket, "snapshot-bucket", "snapshot", true,
		"the bucket of etcd.snapshot.s3 does not take snapshots; those on the masters' disks are not concerned",
		"see what the server answered: the bucket must exist, its keys must be allowed to list, read, write and delete below the prefix, and the clock must be right; keys are changed with `imgforge secret set`, then render again and replace the masters, one at a time"},
	{SnapshotOverdue, "snapshot-overdue", "snapshot", true,
		"the newest snapshot of etcd is older than two of its turns: a restore would bring back what was so long ago",
		"look at this code and at 531 to 533 on the other masters: whichever leads etcd takes the snapshots"},
	{SnapshotUnable, "snapshot-unable", "snapshot", false,
		"this node lacks what it needs to take snapshots of etcd",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here"},
}
