package lab

import "github.com/imgforge/imgforge/internal/plan"

// podRows kill -9 static pods.
func podRows(*plan.Plan) []Fault { return nil }
