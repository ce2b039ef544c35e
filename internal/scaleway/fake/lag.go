package fake

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
)

// late is an object as a listing shows it.
type late struct {
	text string
	left int // listings that go on showing it like this although it has become another
}

// lagging is what one more listing shows of objects: new ones not yet, changed ones and
// deleted ones as they were.
func (a *API) lagging(list string, ids []string, now map[string]string) (out []json.RawMessage) {
	before := a.shown[list]
	if before == nil {
		before = map[string]*late{}
		a.shown[list] = before
	}
	for _, id := range ids {
		old := before[id]
		switch {
		case old == nil && a.hidden[id] > 0:
			a.hidden[id]--
			continue
		case old == nil:
			before[id] = &late{now[id], a.Lag}
		case old.text == now[id]:
			old.left = a.Lag
		case old.left == 0:
			*old = late{now[id], a.Lag}
		default:
			old.left--
		}
		out = append(out, json.RawMessage(before[id].text))
	}
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if _, there := now[id]; there {
			continue
		}
		if before[id].left == 0 {
			delete(before, id)
			continue
		}
		before[id].left--
		out = append(out, json.RawMessage(before[id].text))
	}
	return out
}

// asItWas is a flexible IP as a reader sees it.
func (a *API) asItWas(ip *instance.IP) any {
	text, err := json.Marshal(ip)
	if err != nil {
		return err
	}
	return a.lagging("ip "+ip.ID, []string{ip.ID}, map[string]string{ip.ID: string(text)})[0]
}
