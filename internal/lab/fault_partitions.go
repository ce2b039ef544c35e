package lab

import "github.com/imgforge/imgforge/internal/plan"

// partitionRows partition masters.
func partitionRows(*plan.Plan) []Fault { return nil }
