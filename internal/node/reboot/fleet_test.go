//go:build lab

package reboot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// fleet stands in for machines, kubelets and the scheduler: the API server, its
// admission and the controllers are the real ones.
type fleet struct {
	t     *testing.T
	admin *apiserver.Caller
	names []string

	mu       sync.Mutex
	boots    map[string]int
	obeys    map[string]bool // reboots when it is let go
	downTill map[string]time.Time
	rebooted []string
	most     int // nodes that were cordoned at once
	fewest   int // pods that ran
	running  int
	watching bool
}

func newFleet(t *testing.T, c *apiserver.Cluster, names ...string) *fleet {
	f := &fleet{t: t, admin: c.Admin(), names: names, boots: map[string]int{}, obeys: map[string]bool{}, downTill: map[string]time.Time{}, fewest: 99}
	for _, name := range names {
		f.admin.Must(t, http.MethodPost, "/api/v1/nodes", fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":%q}}`, name))
		f.obeys[name] = true
		f.beat(name)
	}
	var wait sync.WaitGroup
	ctx := t.Context()
	wait.Go(func() {
		for ctx.Err() == nil {
			f.step()
			time.Sleep(100 * time.Millisecond)
		}
	})
	t.Cleanup(wait.Wait)
	return f
}

func (f *fleet) boot(name string) string { return fmt.Sprintf("boot-%d-of-%s", f.boots[name], name) }

// beat is a kubelet's heartbeat.
func (f *fleet) beat(name string) {
	ready := map[bool]string{true: "True", false: "False"}[time.Now().After(f.downTill[name])]
	now := time.Now().UTC().Format(time.RFC3339)
	f.admin.Do(http.MethodPatch, "/api/v1/nodes/"+name+"/status", fmt.Sprintf(`{"status":{"nodeInfo":{"bootID":%q},"conditions":[{"type":"Ready","status":%q,
		"lastHeartbeatTime":%q,"lastTransitionTime":%q,"reason":"x","message":"x"}]}}`, f.boot(name), ready, now, now))
}

func (f *fleet) list(path string, out any) {
	if status, data, err := f.admin.Do(http.MethodGet, path, ""); err == nil && status == http.StatusOK {
		json.Unmarshal(data, out)
	}
}

// step is what the machines do in a moment.
func (f *fleet) step() {
	f.mu.Lock()
	defer f.mu.Unlock()
	var nodes struct{ Items []machine }
	f.list("/api/v1/nodes", &nodes)
	var cordoned int
	var free string
	for _, m := range nodes.Items {
		name := m.Metadata.Name
		if m.Spec.Unschedulable {
			cordoned++
		} else if time.Now().After(f.downTill[name]) {
			free = name
		}
		w := own{boot: f.boot(name)}
		if f.obeys[name] && time.Now().Before(w.grant(m)) {
			f.reboot(name)
		}
		f.beat(name)
	}
	f.most = max(f.most, cordoned)
	f.pods(free)
}

// reboot takes the machine down for a moment; it comes back with a new boot and
// nothing due.
func (f *fleet) reboot(name string) {
	f.boots[name]++
	f.rebooted = append(f.rebooted, name)
	f.downTill[name] = time.Now().Add(700 * time.Millisecond)
}

// pods schedules, runs and ends pods.
func (f *fleet) pods(free string) {
	var pods struct {
		Items []struct {
			Metadata metadata
			Spec     struct{ NodeName string }
			Status   struct{ Phase string }
		}
	}
	f.list("/api/v1/namespaces/default/pods", &pods)
	running := 0
	for _, p := range pods.Items {
		at := "/api/v1/namespaces/default/pods/" + p.Metadata.Name
		switch {
		case p.Metadata.Deleted != "":
			f.admin.Do(http.MethodDelete, at+"?gracePeriodSeconds=0", "")
		case p.Spec.NodeName == "" && free != "":
			f.admin.Do(http.MethodPost, at+"/binding", fmt.Sprintf(`{"apiVersion":"v1","kind":"Binding","metadata":{"name":%q},"target":{"apiVersion":"v1","kind":"Node","name":%q}}`, p.Metadata.Name, free))
		case p.Status.Phase != "Running":
			f.admin.Do(http.MethodPatch, at+"/status", `{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`)
		default:
			running++
		}
	}
	f.running = running
	if f.watching {
		f.fewest = min(f.fewest, running)
	}
}

// set changes the fleet between two of its steps.
func (f *fleet) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}
