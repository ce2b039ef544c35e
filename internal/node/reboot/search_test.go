package reboot

import (
	"fmt"
	"testing"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// The horizon is just enough for a node that does not come back; see also lab_test.go.
func TestEverythingThatCanHappen(t *testing.T) { explore(t, 7) }

func explore(t *testing.T, horizon int8) {
	t.Helper()
	first := world{lock: mlock{holder: nobody}}
	for i, closes := range []int8{4, 7} {
		first.node[i] = mnode{due: true, grantBoot: noGrant, pod: i == 0, closes: closes}
	}
	known := map[world]world{first: first}
	queue := []world{first}
	codes := map[int]int{}
	end := map[bool]map[world]bool{true: {}, false: {}}
	for len(queue) > 0 {
		w := queue[0]
		queue = queue[1:]
		if len(known) > 3000000 {
			t.Fatal(len(known), len(queue), w.tick)
		}
		codes[w.lock.code]++
		for _, back := range []bool{true, false} {
			if w.seen { // it has to act or forget it first: that is a state too
				break
			}
			if left := w.ends(back, end[back]); left != "" {
				t.Fatalf("%s (machines come back: %v):\n%s", left, back, trace(known, w))
			}
		}
		for _, next := range w.next(horizon) {
			if _, there := known[next]; there {
				continue
			}
			known[next] = w
			if why := next.wrong(w); why != "" {
				t.Fatalf("%s:\n%s", why, trace(known, next))
			}
			queue = append(queue, next)
		}
	}
	for _, code := range []int{0, bootcode.RebootUnmade, bootcode.RebootLost} {
		if codes[code] == 0 {
			t.Errorf("code %d never came", code)
		}
	}
	t.Logf("%d states; turns that ended by code: %v", len(known), codes)
}

// trace is how the model got there.
func trace(known map[world]world, w world) (out string) {
	for {
		out = fmt.Sprintf("%+v\n", w) + out
		before := known[w]
		if before == w {
			return out
		}
		w = before
	}
}
