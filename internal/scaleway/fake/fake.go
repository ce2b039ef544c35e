// Package fake stands in for the APIs of Scaleway in tests: it keeps the state on its
// side, refuses what the real ones refuse as far as that is known, and fails on demand.
// It is not Scaleway: what it accepts proves nothing about the provider.
package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// What every fake knows: the only project, zone, image and label.
const (
	Project   = "11111111-1111-4111-8111-111111111111"
	AccessKey = "SCWFAKEFAKEFAKEFAKE0"
	SecretKey = "22222222-2222-4222-8222-222222222222"
	Zone      = scw.Zone("fr-par-1")
	Region    = scw.Region("fr-par")
	ImageID   = "33333333-3333-4333-8333-333333333333"
	Label     = "debian_bookworm"
)

// Header marks every answer, so that nobody takes it for the provider's.
const Header = "X-Fake"

// API is the state of one fake. Its fields are to be set before it serves.
type API struct {
	// Fault tells how call n (from 1) goes wrong; nil: none does.
	Fault func(n int, r *http.Request) Fault
	// Lag is in how many listings a new object does not show yet, and a changed or a deleted
	// one shows as it was. Reading a flexible IP lags as well, the others by ID do not.
	Lag int
	// Lax has listings show what does not carry the tags that were asked for.
	Lax bool
	// MinPart is the least size in bytes of every part of an upload but the last.
	MinPart int

	mu         sync.Mutex
	mux        *http.ServeMux
	calls      int
	ids        int
	hidden     map[string]int              // listings that an object stays out of
	shown      map[string]map[string]*late // by listing
	pages      map[string][]json.RawMessage
	networks   []*vpc.PrivateNetwork
	booked     []*ipam.IP
	groups     []*instance.SecurityGroup
	rules      map[string][]*instance.SecurityGroupRule
	placements []*instance.PlacementGroup
	ips        []*instance.IP
	volumes    []*block.Volume
	servers    []*instance.Server
	snapshots  []*block.Snapshot
	origins    map[string]*object // what a snapshot is imported from, by its ID
	unheard    map[string]int     // requests for which the Instance API does not know a snapshot
	images     []*instance.Image
	buckets    map[string]*bucket
	userData   map[string]map[string][]byte
	mistakes   []string
	moves      int // of flexible IPs
	served     int // user-data that was read by its server
}

// New is an empty project.
func New() *API {
	a := &API{MinPart: 5 << 20, origins: map[string]*object{}, unheard: map[string]int{}, buckets: map[string]*bucket{},
		mux: http.NewServeMux(), hidden: map[string]int{}, shown: map[string]map[string]*late{}, pages: map[string][]json.RawMessage{}, rules: map[string][]*instance.SecurityGroupRule{}, userData: map[string]map[string][]byte{}}
	a.mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"domain": "fake"})
	})
	a.handleNetworks()
	a.handleGroups()
	a.handleVolumes()
	a.handleIPs()
	a.handleServers()
	a.handleSnapshots()
	a.handleImages()
	return a
}

// refusal is an answer that is no success.
type refusal struct {
	status int
	kind   string
	text   string
	fields map[string][]string
}

func (r *refusal) Error() string { return r.text }

// details is how newer APIs name the argument, which stands before the text here.
func (r *refusal) details() []map[string]string {
	name, help, ok := strings.Cut(r.text, ": ")
	if r.kind != "invalid_arguments" || !ok {
		return []map[string]string{}
	}
	return []map[string]string{{"argument_name": name, "reason": "constraint", "help_message": help}}
}

func refuse(status int, kind, format string, args ...any) error {
	return &refusal{status: status, kind: kind, text: fmt.Sprintf(format, args...)}
}

// invalid is how the Instance API refuses a value.
func invalid(field, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &refusal{status: http.StatusBadRequest, kind: "invalid_request_error", text: "Validation Error", fields: map[string][]string{field: {text}}}
}

func unknown(what, id string) error {
	return refuse(http.StatusNotFound, "unknown_resource", "%s %q not found", what, id)
}

// handle registers one call: do runs under the lock, checked for zone and token.
func (a *API) handle(pattern string, do func(r *http.Request) (any, error)) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		res, err := any(nil), a.checkCaller(r)
		if err == nil {
			res, err = do(r)
		}
		if bad, ok := err.(*refusal); ok {
			answer(w, bad.status, map[string]any{"type": bad.kind, "message": bad.text, "fields": bad.fields, "resource": "", "details": bad.details()})
			return
		}
		if raw, ok := res.([]byte); ok {
			w.Header().Set("Content-Type", "text/plain")
			w.Write(raw)
			return
		}
		if res == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, http.StatusOK, res)
	})
}

func (a *API) checkCaller(r *http.Request) error {
	if r.Header.Get("X-Auth-Token") != SecretKey {
		return refuse(http.StatusUnauthorized, "denied_authentication", "authentication is denied")
	}
	if z := r.PathValue("zone"); z != "" && z != string(Zone) {
		return refuse(http.StatusNotFound, "unknown_resource", "unknown zone %s", z)
	}
	if g := r.PathValue("region"); g != "" && g != string(Region) {
		return refuse(http.StatusNotFound, "unknown_resource", "unknown region %s", g)
	}
	return nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	if total, ok := v.(listing); ok {
		w.Header().Set("X-Total-Count", strconv.Itoa(total.total))
		v = total.page
	}
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// listing is one page of a list.
type listing struct {
	total int
	page  map[string]any
}

// body decodes a request; a field that the SDK's type does not have is refused, as
// user_data is when a server is created.
func body(r *http.Request, into any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil && err != io.EOF {
		return invalid("body", "%v", err)
	}
	return nil
}

func project(p *string) error {
	if p == nil || *p == "" {
		return invalid("project", "required key not provided")
	}
	if *p != Project {
		return refuse(http.StatusForbidden, "permissions_denied", "insufficient permissions: unknown project %s", *p)
	}
	return nil
}

func (a *API) id() string {
	a.ids++
	id := idOf(a.ids)
	a.hidden[id] = a.Lag
	return id
}

func idOf(n int) string { return fmt.Sprintf("44444444-4444-4444-8444-%012d", n) }

// pageSize is small, so that a caller who reads one page only is found out.
const pageSize = 3

// list answers one page of what carries the tags asked for.
func list[T any](a *API, r *http.Request, name string, all []T, id func(T) string, tags func(T) []string) (any, error) {
	if p := r.URL.Query().Get("project") + r.URL.Query().Get("project_id"); p != Project {
		return nil, refuse(http.StatusForbidden, "permissions_denied", "insufficient permissions: unknown project %q", p)
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	var wanted []string
	for _, t := range r.URL.Query()["tags"] {
		wanted = append(wanted, strings.Split(t, ",")...)
	}
	wanted = slices.DeleteFunc(wanted, func(string) bool { return a.Lax })
	var ids []string
	now := map[string]string{}
	for _, x := range all {
		if holds(tags(x), wanted) {
			text, err := json.Marshal(x)
			if err != nil {
				return nil, err
			}
			ids, now[id(x)] = append(ids, id(x)), string(text)
		}
	}
	what := r.URL.Path + strings.Join(wanted, ",")
	if page == 1 {
		a.pages[what] = a.lagging(what, ids, now)
	}
	shown := a.pages[what]
	from, to := min((page-1)*pageSize, len(shown)), min(page*pageSize, len(shown))
	return listing{total: len(shown), page: map[string]any{name: append([]json.RawMessage{}, shown[from:to]...), "total_count": len(shown)}}, nil
}

func holds(tags, wanted []string) bool {
	for _, w := range wanted {
		found := false
		for _, t := range tags {
			found = found || t == w
		}
		if !found {
			return false
		}
	}
	return true
}

// find looks an object up by ID.
func find[T any](all []T, id string, of func(T) string) (int, bool) {
	for i, x := range all {
		if of(x) == id {
			return i, true
		}
	}
	return 0, false
}
