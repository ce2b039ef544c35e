package clock

import "syscall"

// Of adjtimex(2): nobody keeps the clock.
const (
	timeError = 5
	unsynced  = 0x0040
)

func kernelSynced() bool {
	var t syscall.Timex // modes 0: it only reads
	state, err := syscall.Adjtimex(&t)
	return err == nil && state != timeError && t.Status&unsynced == 0
}
