//go:build lab

package reboot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// To the end of both nodes' windows and of what follows.
func TestEverythingThatCanHappenLong(t *testing.T) { explore(t, 10) }

// lab is the fleet and its masters' guards, with a clock that can be moved.
type lab struct {
	*fleet
	c     *apiserver.Cluster
	mu    sync.Mutex
	ahead time.Duration
	said  []string
}

func (l *lab) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.ahead)
}

// Failed, Waiting and Done are those of a reporter.
func (l *lab) Failed(f *bootcode.Failure) { l.note(f.Error()) }
func (l *lab) Waiting(_, what string)     { l.note("waits: " + what) }
func (l *lab) Done(_, what string)        { l.note("done: " + what) }

func (l *lab) note(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.said) == 0 || l.said[len(l.said)-1] != text {
		l.said = append(l.said, text)
	}
}

func (l *lab) heard(part string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.said, func(s string) bool { return strings.Contains(s, part) })
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for limit := time.Now().Add(90 * time.Second); time.Now().Before(limit); time.Sleep(50 * time.Millisecond) {
		if met() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// start runs a control plane, a fleet and a master's guard twice, as on two masters.
func start(t *testing.T) *lab {
	c := apiserver.Start(t, "scaleway-ha")
	c.Wait()
	c.Controllers()
	l := &lab{c: c}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(strings.Join(l.said, "\n"))
		}
	})
	var me artifact.NodeFile
	apiserver.Rewrite(t, filepath.Join(c.Root, artifact.NodeFilePath), func(n *artifact.NodeFile) { me = *n })
	apiserver.Rewrite(t, filepath.Join(c.Root, artifact.ClusterFilePath), func(f *artifact.ClusterFile) {
		f.EndpointURL = fmt.Sprintf("https://127.0.0.1:%d", me.APIServerPort)
	})
	l.fleet = newFleet(t, c, "master-1", "worker-1", "worker-2")
	l.put(t, bootPath, "boot-0-of-master-1\n")
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if err := Run(ctx, Options{Root: c.Root, Report: l, Now: l.now, Pace: 150 * time.Millisecond, Rest: 150 * time.Millisecond,
				Spare:  func(context.Context, string) (string, error) { return "", nil },
				Reboot: func(context.Context) error { return nil }}); err != nil { // the fleet does it
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wait.Wait() })
	return l
}

func (l *lab) put(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(l.c.Root, path)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (l *lab) node(t *testing.T, name string) (m machine) {
	t.Helper()
	if err := json.Unmarshal(l.admin.Must(t, http.MethodGet, "/api/v1/nodes/"+name, ""), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// clean tells whether nothing of anybody's turn is left.
func (l *lab) clean(t *testing.T) bool {
	var have lease
	if status, data, _ := l.admin.Do(http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/imgforge-reboot", ""); status != http.StatusOK || json.Unmarshal(data, &have) != nil || have.lock().Holder != "" {
		return false
	}
	for _, name := range l.names {
		m := l.node(t, name)
		for _, key := range []string{oursKey, grantedKey, requestKey} {
			if _, there := m.Metadata.Annotations[key]; there {
				return false
			}
		}
		if m.Spec.Unschedulable {
			return false
		}
	}
	return true
}

// shop runs two pods that a budget keeps.
func (l *lab) shop(t *testing.T, atLeast int) {
	t.Helper()
	until(t, "pods may be made", func() bool {
		status, _, _ := l.admin.Do(http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", "")
		return status == http.StatusOK
	})
	l.admin.Must(t, http.MethodPost, "/apis/apps/v1/namespaces/default/replicasets", `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"shop"},"spec":{"replicas":2,
		"selector":{"matchLabels":{"app":"shop"}},"template":{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`)
	l.admin.Must(t, http.MethodPost, "/apis/policy/v1/namespaces/default/poddisruptionbudgets", fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"PodDisruptionBudget",
		"metadata":{"name":"shop"},"spec":{"minAvailable":%d,"selector":{"matchLabels":{"app":"shop"}}}}`, atLeast))
	until(t, "both pods run", func() (both bool) {
		l.set(func() { both = l.running == 2 })
		return both
	})
	l.set(func() { l.watching = true })
}

// Every node is asked to reboot at once: one after the other does, drained, and the
// budget's pod runs all the while.
func TestAllAtOnce(t *testing.T) {
	l := start(t)
	l.shop(t, 1)
	// A worker's kubelet says so itself, an operator asks another, and the master finds
	// a request on its own disk.
	if status, answer, err := l.admin.As("system:node:worker-1", "system:nodes").Do(http.MethodPatch, "/api/v1/nodes/worker-1",
		`{"metadata":{"annotations":{"`+dueKey+`":"boot-0-of-worker-1 now"}}}`); err != nil || status != http.StatusOK {
		t.Fatalf("a kubelet may not say what is due: %d %s %v", status, answer, err)
	}
	l.admin.Must(t, http.MethodPatch, "/api/v1/nodes/worker-2", `{"metadata":{"annotations":{"`+requestKey+`":"now"}}}`)
	if err := Request(l.c.Root, true); err != nil {
		t.Fatal(err)
	}
	until(t, "master-1 says on its Node what is due", func() bool { return l.node(t, "master-1").Metadata.Annotations[dueKey] == "boot-0-of-master-1 now" })
	until(t, "all have rebooted and are back", func() (all bool) {
		l.set(func() { all = len(l.rebooted) >= 3 })
		return all && l.clean(t)
	})
	time.Sleep(2 * time.Second)
	l.set(func() {
		slices.Sort(l.rebooted)
		if got := strings.Join(l.rebooted, " "); got != "master-1 worker-1 worker-2" || l.most != 1 || l.fewest < 1 {
			t.Errorf("rebooted %s; %d cordoned at once; %d pods ran at least", got, l.most, l.fewest)
		}
		t.Logf("rebooted one after the other: %v; cordoned at once: %d; fewest pods that ran: %d", l.rebooted, l.most, l.fewest)
	})
}

// A budget that never allows is respected to the window's end; a user's own cordon
// stays; and a node that does not come back blocks nobody for ever.
func TestTurnsThatFail(t *testing.T) {
	l := start(t)
	l.shop(t, 2)
	holder := func() string {
		var p struct {
			Items []struct{ Spec struct{ NodeName string } }
		}
		l.list("/api/v1/namespaces/default/pods", &p)
		return p.Items[0].Spec.NodeName
	}()
	request := func(name string) {
		l.admin.Must(t, http.MethodPatch, "/api/v1/nodes/"+name, `{"metadata":{"annotations":{"`+requestKey+`":"now"}}}`)
	}
	request(holder)
	until(t, holder+" is cordoned", func() bool { return l.node(t, holder).Spec.Unschedulable })
	time.Sleep(2 * time.Second)
	l.move(asked)
	until(t, "it is told that pods stay", func() bool { return l.heard("904 drain-unfinished") && l.heard("default/shop-") })
	until(t, holder+" takes pods again", func() bool { return !l.node(t, holder).Spec.Unschedulable })
	l.set(func() {
		if len(l.rebooted) != 0 || l.fewest != 2 {
			t.Errorf("rebooted %v, %d pods ran at least", l.rebooted, l.fewest)
		}
	})
	l.admin.Must(t, http.MethodPatch, "/api/v1/nodes/"+holder, `{"metadata":{"annotations":{"`+requestKey+`":null}}}`)
	l.admin.Must(t, http.MethodDelete, "/apis/policy/v1/namespaces/default/poddisruptionbudgets/shop", "")

	t.Run("a user's cordon stays", func(t *testing.T) {
		l.admin.Must(t, http.MethodPatch, "/api/v1/nodes/worker-1", `{"spec":{"unschedulable":true}}`)
		l.move(time.Hour)
		request("worker-1")
		until(t, "worker-1 has rebooted", func() bool {
			m := l.node(t, "worker-1")
			_, granted := m.Metadata.Annotations[grantedKey]
			return m.Status.Info.BootID == "boot-1-of-worker-1" && !granted
		})
		until(t, "its turn has ended", func() bool { return !l.held(t) })
		if !l.node(t, "worker-1").Spec.Unschedulable {
			t.Error("the user's cordon was taken away")
		}
		l.admin.Must(t, http.MethodPatch, "/api/v1/nodes/worker-1", `{"spec":{"unschedulable":null}}`)
	})
	t.Run("death with the lease", func(t *testing.T) {
		l.set(func() { l.obeys["worker-1"] = false })
		request("worker-1")
		until(t, "worker-1 was let go", func() bool { return l.node(t, "worker-1").Metadata.Annotations[grantedKey] != "" })
		l.set(func() { l.downTill["worker-1"] = time.Now().Add(time.Hour) })
		until(t, "worker-1 is down", func() bool {
			return l.held(t) && !l.node(t, "worker-1").node(artifact.ClusterNode{}, time.UTC, time.Now()).Ready
		})
		l.move(grant + away + time.Minute)
		until(t, "it is told who did not come back", func() bool { return l.heard("907 reboot-lost") })
		request("worker-2") // half of the workers would not stay
		until(t, "worker-2 waits for worker-1", func() bool {
			return l.heard("worker-2: not Ready: worker-1") || l.heard("907 reboot-lost") && !l.held(t)
		})
		request("master-1") // nobody else of its role is missed
		until(t, "master-1 has rebooted", func() (yes bool) {
			l.set(func() { yes = l.boots["master-1"] == 1 })
			return yes
		})
		l.set(func() {
			l.boots["worker-1"]++
			l.downTill["worker-1"] = time.Time{}
		})
		until(t, "worker-1 is back and takes pods, then worker-2 reboots", func() (yes bool) {
			l.set(func() { yes = l.boots["worker-2"] == 1 })
			return yes && l.clean(t)
		})
	})
}

func (l *lab) held(t *testing.T) bool {
	var have lease
	client, err := api.New(l.c.Root)
	if err == nil {
		err = client.Get(t.Context(), leaseRef(), &have)
	}
	if err != nil {
		t.Fatal(err)
	}
	return have.lock().Holder != ""
}

// move lets the guards' clocks go forward.
func (l *lab) move(by time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead += by
}
