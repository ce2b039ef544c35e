package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/profiles/addons"
)

// bind applies the bindings, by force: without them no kubelet gets a certificate,
// and the API server reaches no kubelet. Every master does, at every start.
func (a *applier) bind(ctx context.Context) error {
	bound, ok := pick(a.wanted, addons.Bindings)
	if !ok {
		return nil
	}
	var refused []string
	for _, o := range bound.Objects {
		err := a.client.Apply(ctx, ref(o), o.JSON, true, nil)
		switch {
		case err == nil:
		case final(err):
			refused = append(refused, err.Error())
		default:
			return err
		}
	}
	return a.refused(bootcode.ObjectRefused, refused)
}

// put applies an object and leaves to others what they have set: it returns those
// fields, for people.
func (a *applier) put(ctx context.Context, r api.Ref, body []byte) (kept []string, err error) {
	for range 5 {
		err = a.client.Apply(ctx, r, body, false, nil)
		fields := conflicts(err)
		if len(fields) == 0 {
			return kept, err
		}
		var paths []string
		for _, f := range fields {
			paths = append(paths, f.Field)
			kept = append(kept, fmt.Sprintf("%s %s (%s)", r, f.Field, manager(f.Message)))
		}
		if body, err = without(body, paths); err != nil {
			return kept, fmt.Errorf("apply %s: %w", r, err)
		}
	}
	return kept, err
}

// conflicts are the fields that others have set to other values.
func conflicts(err error) (out []api.Cause) {
	r := api.Refused(err)
	if r == nil || r.Status != http.StatusConflict {
		return nil
	}
	for _, c := range r.Causes {
		if c.Reason == api.CauseConflict {
			out = append(out, c)
		}
	}
	return out
}

// manager is who has set a field, out of: conflict with "kubectl-edit" using apps/v1.
func manager(message string) string {
	if _, rest, ok := strings.Cut(message, `"`); ok {
		name, _, _ := strings.Cut(rest, `"`)
		return name
	}
	return "unknown"
}

// final tells whether the API server's answer is about the object, so that another
// object may fare better.
func final(err error) bool {
	r := api.Refused(err)
	if r == nil {
		return false
	}
	switch r.Status {
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return false
	}
	return true
}

// shorten keeps a list readable on a console.
func shorten(lines []string) []string {
	const most = 8
	if len(lines) <= most {
		return lines
	}
	return append(lines[:most:most], fmt.Sprintf("and %d more", len(lines)-most))
}

// body is an object as JSON.
func body(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil { // maps of strings always can be
		return nil
	}
	return data
}
