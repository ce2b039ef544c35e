package lab

import (
	"slices"

	"github.com/imgforge/imgforge/internal/plan"
)

// stateRows are the rows in which what a node keeps is lost, exchanged or spoiled.
func stateRows(p *plan.Plan) []Fault {
	return slices.Concat(
		wipeRows(p),
		absentRows(p),
		slotRows(p),
		reserveRows(p),
		certificateRows(p),
		rotateRows(p),
		diskRows(p),
		rebootRows(p),
		clockRows(p),
		lostRows(p),
		restoreRows(p),
	)
}
