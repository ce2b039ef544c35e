package lab

import "github.com/imgforge/imgforge/internal/plan"

// linkRows cut links.
func linkRows(*plan.Plan) []Fault { return nil }
