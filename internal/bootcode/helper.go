package bootcode

// Codes of the helper itself.
const PartEnded = 1001

var helperCodes = [...]Code{
	{PartEnded, "part-ended", "helper", false,
		"a part of imgforge-node ended without a code of its own; it is started again",
		"nothing, when it passes; otherwise see why, and report it as a defect of imgforge-node with this text"},
}
