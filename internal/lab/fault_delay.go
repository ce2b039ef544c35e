package lab

import "github.com/imgforge/imgforge/internal/plan"

// delayRows delay packets.
func delayRows(*plan.Plan) []Fault { return nil }
