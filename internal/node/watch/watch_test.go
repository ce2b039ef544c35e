package watch

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// heard is a Reporter that keeps what it was told, a line each.
type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) add(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *heard) Failed(f *bootcode.Failure) { h.add("failed %d %s", f.Code.Number, f.Why) }
func (h *heard) Waiting(step, what string)  { h.add("%s waits %s", step, what) }
func (h *heard) Done(step, what string)     { h.add("%s done %s", step, what) }
func (h *heard) Write(p []byte) (int, error) {
	h.add("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}
func (h *heard) take() (all string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, h.lines = strings.Join(h.lines, "\n"), nil
	return all
}

// What passes is no code before its grace is over, what does not is one at once, and
// a code whose reason changes all the time is not repeated all the time.
func TestGrace(t *testing.T) {
	h := &heard{}
	v := voice{report: h, grace: time.Minute, bad: map[string]time.Time{}, said: map[string]said{}}
	at := func(seconds int, words ...Word) string {
		v.say(words, noon.Add(time.Duration(seconds)*time.Second))
		return h.take()
	}
	down := func(why string) Word { return passing(step.Kubelet, bootcode.KubeletDown, "the kubelet", "%s", why) }
	up := reached(step.Kubelet, "Ready")
	for _, c := range []struct {
		seconds int
		word    Word
		want    string
	}{
		{0, down("a"), "kubelet waits the kubelet"},
		{59, down("b"), "kubelet waits the kubelet"},
		{60, down("c"), "failed 611 c"},
		{61, down("d"), ""},
		{119, down("d"), ""},
		{120, down("d"), "failed 611 d"},
		{121, final(step.Kubelet, bootcode.LeafEnded, "e"), "failed 604 e"},
		{122, down("f"), "failed 611 f"},
		{123, behind(step.Kubelet, step.Mesh), "kubelet waits the step mesh"},
		{124, down("g"), "kubelet waits the kubelet"}, // its own time begins now
		{183, down("g"), "kubelet waits the kubelet"},
		{184, down("g"), "failed 611 g"},
		{185, up, "kubelet done Ready"},
		{186, down("h"), "kubelet waits the kubelet"}, // a restart is no failure
		{190, up, "kubelet done Ready"},
		{191, warned(step.Kubelet, bootcode.LeafExpiring, "i"), "failed 605 i"},
		{192, warned(step.Kubelet, bootcode.LeafExpiring, "i"), ""},
		{193, final(step.Kubelet, bootcode.LeafForeign, "j"), "failed 603 j"},
	} {
		if got := at(c.seconds, c.word); got != c.want {
			t.Errorf("after %d s: %q, want %q", c.seconds, got, c.want)
		}
	}
}

// A whole run: a kubelet that comes late, the line that the node is Ready, a failure
// after it, and the line once more.
func TestRun(t *testing.T) {
	s := newSite(t, "master-1")
	h := &heard{}
	s.o.Report, s.o.Stderr, s.o.Grace, s.o.Pace, s.o.Rest = h, h, 2*time.Second, 50*time.Millisecond, 3*time.Second
	s.answer("kubelet /healthz", "500 starting")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, s.o) }()
	var all string
	until := func(want string) {
		t.Helper()
		for end := time.Now().Add(60 * time.Second); !strings.Contains(all, want); time.Sleep(20 * time.Millisecond) {
			if all += h.take() + "\n"; time.Now().After(end) {
				t.Fatalf("%q was not said:\n%.2000s", want, all)
			}
		}
	}
	ready := "imgforge: master-1 is Ready: master of cluster a at 127.0.0.1, Kubernetes " + s.Plan.Kubernetes.Version
	until("kubelet waits the kubelet")
	s.answer("kubelet /healthz", "200 ok")
	until(ready)
	if strings.Contains(all, "failed") || strings.Count(all, ready) != 1 {
		t.Errorf("a boot prints a code:\n%s", all)
	}
	until("endpoint done the API answers at https://127.0.0.1:")
	all = ""
	s.answer("kubelet /healthz", "500 sick")
	until("failed 611 it answers 500: sick\nkubelet.service is activating (auto-restart): ")
	until("control-plane waits the step kubelet")
	if strings.Contains(all, ready) {
		t.Errorf("it is Ready:\n%s", all)
	}
	s.answer("kubelet /healthz", "200 ok")
	until(ready)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
