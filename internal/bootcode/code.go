// Package bootcode is the one table of boot codes: every way in which a step of a
// node's boot can end badly, with the number that the console shows, what it means
// and what to change. The numbers are stable: people search for them. The hundreds
// follow the boot: 1 claim, 2 time, 3 mesh, 4 images, 5 etcd, 6 control plane,
// 7 add-ons, 8 endpoint, 9 reboot; 10 is the helper itself.
package bootcode

import (
	"fmt"
	"slices"
	"strings"
)

// Code is one way in which a step can end badly.
type Code struct {
	Number  int
	Name    string
	Step    string
	Warning bool   // the step goes on, or tries again and usually needs nobody
	What    string // what happened
	Change  string // what to change
}

// Failure is a code with the reason at hand. It is the error of everything that
// fails in a way an operator can act on.
type Failure struct {
	Code Code
	Why  string
}

// Fail makes the failure of a code. Why is formatted; it must hold no secret.
func Fail(number int, format string, args ...any) *Failure {
	c, _ := Of(number)
	return &Failure{Code: c, Why: fmt.Sprintf(format, args...)}
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

// Of looks a code up by its number. An unknown one has a text that says so.
func Of(number int) (Code, bool) {
	for _, table := range tables() {
		for _, c := range table {
			if c.Number == number {
				return c, true
			}
		}
	}
	return Code{Number: number, Name: "unknown", Step: "unknown", What: "a step failed in a way that has no number", Change: "report this as a defect of imgforge-node"}, false
}

// All lists every code, by number.
func All() []Code { return slices.Concat(tables()...) }

// tables are the hundreds, in order.
func tables() [][]Code {
	return [][]Code{claimCodes[:], timeCodes[:], meshCodes[:], imageCodes[:], etcdCodes[:], snapshotCodes[:], controlPlaneCodes[:], addonCodes[:], endpointCodes[:], rebootCodes[:],
		helperCodes[:]}
}
