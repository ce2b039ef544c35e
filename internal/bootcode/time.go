package bootcode

// Codes of the clock.
const (
	TimeUnset    = 201
	TimeBefore   = 202
	TimeAfter    = 203
	ClockDiffers = 204
)

var timeCodes = [...]Code{
	{TimeUnset, "clock-unset", "time", true,
		"nobody has set the clock of this node; it goes on, because the clock may be right",
		"nothing, when the clock shown here is right; otherwise let the node reach the time servers of ntp in the cluster file (UDP port 123), or set the machine's own clock"},
	{TimeBefore, "clock-behind", "time", false,
		"the clock of this node stands before the day its certificates begin, so nobody would accept them; the kubelet waits",
		"set the machine's own clock, or let the node reach the time servers of ntp in the cluster file (UDP port 123); this node goes on by itself"},
	{TimeAfter, "clock-past-leaf", "time", false,
		"by the clock of this node its certificates have ended, so nobody would accept them; the kubelet waits",
		"when the clock shown here is wrong, set it: this node goes on by itself; when it is right, run `imgforge pki renew`, render again, and boot this machine with an empty disk from the new payload"},
	{ClockDiffers, "clock-differs", "time", true,
		"the clock of this node and that of another one differ by more than a minute: tokens and certificates that one of them makes are not good yet, or no more, for the other",
		"let both nodes reach the time servers of ntp in the cluster file (UDP port 123), or set the clock of the machine that is wrong; both go on by themselves"},
}
