package lab

import "github.com/imgforge/imgforge/internal/plan"

// lossRows lose packets.
func lossRows(*plan.Plan) []Fault { return nil }
