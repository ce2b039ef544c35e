package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Somebody who may make objects, and makes large ones, keeps nobody from reading the
// list: its pages get smaller.
func TestListOfLargeObjects(t *testing.T) {
	const all = 150
	large := strings.Repeat("x", maxReply/50)
	c, err := New(node(t, func(w http.ResponseWriter, r *http.Request) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
		var items []string
		for i := from; i < min(from+limit, all); i++ {
			items = append(items, fmt.Sprintf(`{"i":%d,"large":%q}`, i, large))
		}
		next := ""
		if from+limit < all {
			next = fmt.Sprint(from + limit)
		}
		fmt.Fprintf(w, `{"metadata":{"continue":%q,"resourceVersion":"7"},"items":[%s]}`, next, strings.Join(items, ","))
	}))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	version, err := c.List(t.Context(), Ref{APIVersion: "v1", Kind: "Node"}, Selection{}, func(object json.RawMessage) error {
		var o struct{ I int }
		if err := json.Unmarshal(object, &o); err != nil || o.I != seen {
			return fmt.Errorf("object %d at %d: %w", o.I, seen, err)
		}
		seen++
		return nil
	})
	if err != nil || version != "7" || seen != all {
		t.Errorf("%d of %d objects, version %q: %v", seen, all, version, err)
	}
}
