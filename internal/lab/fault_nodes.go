package lab

import "github.com/imgforge/imgforge/internal/plan"

// nodeRows kill nodes.
func nodeRows(*plan.Plan) []Fault { return nil }
