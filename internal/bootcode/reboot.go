package bootcode

// Codes of the reboot guard.
const (
	RebootUnable    = 901
	RebootUnasked   = 902
	RebootNoWindow  = 903
	DrainUnfinished = 904
	RebootUnsafe    = 905
	RebootUnmade    = 906
	RebootLost      = 907
	RebootFailed    = 908
)

var rebootCodes = [...]Code{
	{RebootUnable, "reboot-unable", "reboot", false,
		"this node lacks what it needs to take part in reboots: it does not reboot by itself",
		"look at the claim of this node (codes 101 to 112): it writes what is missing here; otherwise render the payload again and boot it, unedited, with an empty disk"},
	{RebootUnasked, "reboot-unasked", "reboot", true,
		"this node has to reboot and cannot tell the masters; it tries again",
		"when codes 612 to 615 are there, do what they say; otherwise look at the API endpoint"},
	{RebootNoWindow, "reboot-no-window", "reboot", true,
		"nodes have to reboot and have no window to do so: they never reboot by themselves",
		"annotate each of them with imgforge.io/reboot=now, which drains and reboots one after the other; or write roles.<role>.reboot into the cluster file and replace the masters, one at a time, each with an empty disk"},
	{DrainUnfinished, "drain-unfinished", "reboot", true,
		"pods did not leave a node while its window was open; it was not rebooted and takes pods again",
		"see which pods stay: a PodDisruptionBudget that allows no eviction needs another replica, or another budget; a longer window helps pods that take long to end"},
	{RebootUnsafe, "reboot-unsafe", "reboot", true,
		"a node has to reboot and the cluster cannot spare it now; it waits",
		"bring the nodes or etcd members that are named back; a node that will not come back: delete it, and boot its slot anew"},
	{RebootUnmade, "reboot-unmade", "reboot", true,
		"a drained node was let go and did not reboot; it takes pods again, and its turn comes again",
		"look at what keeps the machine from rebooting: its journal says what `systemctl reboot`, or the agent of its system, answered"},
	{RebootLost, "reboot-lost", "reboot", true,
		"a node rebooted and did not come back; others may reboot while enough of its role are Ready",
		"look at that machine's console; boot it again, or its slot with an empty disk. It takes pods again once it is Ready"},
	{RebootFailed, "reboot-failed", "reboot", true,
		"the API server did not do what the reboot guard asked; this node tries again",
		"nothing, when this lasts seconds; otherwise look at etcd and kube-apiserver of this node"},
}
