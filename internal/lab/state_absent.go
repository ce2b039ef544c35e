package lab

import (
	"context"
	"errors"

	"github.com/imgforge/imgforge/internal/plan"
)

// absentRows stand in the table for faults of what a cluster has not, and say so.
func absentRows(p *plan.Plan) (rows []Fault) {
	absent := func(class, name, why string) {
		rows = append(rows, Fault{Class: class, Name: name, Short: true, Unable: func(*Trial) string { return why },
			Do: func(context.Context, *bout) (string, error) { return "", errors.New(why) }})
	}
	if p.Endpoint.Mode != "vip" {
		absent(classWipeHolder, "wipe the disk of the holder of the "+floatingAddress, "the API is at 127.0.0.1 of every node: no address floats")
	}
	if len(notReserved(p, plan.Proxy)) == 0 {
		absent(classReplace+" ("+plan.Proxy+")", "replace a proxy", "this cluster has no proxies")
	}
	return rows
}
