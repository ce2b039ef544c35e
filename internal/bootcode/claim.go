package bootcode

// Codes of the claim.
const (
	NothingToClaim  = 101
	NoSlot          = 102
	UnknownNode     = 103
	TwoSlots        = 104
	ClaimDamaged    = 105
	ClaimMissing    = 106
	ClaimWrong      = 107
	SlotDamaged     = 108
	CannotWrite     = 109
	NameDiffers     = 110
	IdentityDamaged = 111
	WipeIncomplete  = 112
	UserDataStays   = 113
	UserDataForeign = 114
	UserDataSilent  = 115
)

var claimCodes = [...]Code{
	{NothingToClaim, "nothing-to-claim", "claim", false,
		"this machine carries neither the files of a node nor slots to choose from",
		"boot it with the user-data that `imgforge render --role ROLE` or `--node NAME` prints, complete and unedited"},
	{NoSlot, "no-slot", "claim", false,
		"no slot of this payload is for this machine",
		"give the server the name of one of these nodes, or the kernel argument imgforge.node=NAME, or, on scaleway, ec2 and openstack, the tag imgforge.node=NAME, and restart it; or set roles.<role>.nodes[].mac in the cluster file, for a node beyond them count or reserve, render again, and boot the new payload with an empty disk"},
	{UnknownNode, "unknown-node", "claim", false,
		"the node that this machine was told to be has no slot in this payload",
		"correct the kernel argument, tag or claim line named here; or boot, with an empty disk, the payload of the role that the node belongs to; or raise count or reserve in the cluster file and render again"},
	{TwoSlots, "two-slots", "claim", false,
		"this machine is told to be two nodes at once",
		"make them agree: rename the server, or drop the kernel argument, tag or claim line that is wrong, and restart it"},
	{ClaimDamaged, "claim-line-damaged", "claim", false,
		"the claim line of this machine cannot be read",
		"put the whole line that `imgforge claims` prints for this node where the damaged one is, and restart the machine"},
	{ClaimMissing, "claim-line-missing", "claim", false,
		"the slots of this image are sealed, and nothing gives this machine its claim line",
		"give the server the line that `imgforge claims` prints for its node, as its user-data or where `imgforge claims --for-console` says, or as kernel argument imgforge.claim=LINE; it goes on by itself where that needs no restart"},
	{ClaimWrong, "claim-line-wrong", "claim", false,
		"the claim line of this machine does not open its slot",
		"take claim line and payload from the same store: run `imgforge claims` and `imgforge render --sealed` again, and boot both with an empty disk"},
	{SlotDamaged, "slot-damaged", "claim", false,
		"a slot of this payload cannot be read",
		"render the payload again with the imgforge that the image was made with, and boot it, unedited, with an empty disk"},
	{CannotWrite, "cannot-write", "claim", false,
		"the files of this node cannot be written; it is not claimed, and tries again",
		"see why: make room on the root file system, or make it writable, and this node goes on; a user or group that is missing has to be made by the image or by the `extra` of the cluster file"},
	{NameDiffers, "name-differs", "claim", true,
		"this machine has another name than the node it is; it takes the name of the node",
		"nothing, when that is the server you meant; otherwise wipe its disk and boot the payload of the node that it should be"},
	{IdentityDamaged, "identity-damaged", "claim", false,
		"this machine was claimed, but the files that say for which node are missing or damaged",
		"replace the machine: wipe its disk and boot the same payload again"},
	{WipeIncomplete, "wipe-incomplete", "claim", true,
		"copies of the payload, with the keys in it, are left on this machine",
		"restart the machine, which tries again; when they stay, remove the files named here from a privileged pod on this node, or replace the machine: the payload of a role holds the keys of all its nodes"},
	{UserDataStays, "user-data-stays", "claim", true,
		"the provider keeps this server's user-data, with the keys in it, though the node is Ready; this is tried again",
		"nothing, when this lasts seconds; otherwise delete it yourself, as in scw instance user-data delete server-id=ID key=cloud-init, and restart imgforge-node.service"},
	{UserDataForeign, "user-data-foreign", "claim", false,
		"the slots of this image are sealed, and what this machine has as user-data is no claim line",
		"make the line that `imgforge claims` prints for its node the whole user-data, with nothing around it: the payload is in the image already; or, when user-data has to stay as it is, pass the line as kernel argument imgforge.claim=LINE"},
	{UserDataSilent, "user-data-silent", "claim", false,
		"the slots of this image are sealed, and the metadata service that has this machine's claim line gives no answer; this is tried again",
		"nothing, when this lasts less than a minute; otherwise see why: the network card, DHCP, a route to 169.254.0.0/16, or pass the line as kernel argument imgforge.claim=LINE"},
}
