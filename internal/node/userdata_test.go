package node

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/userdata"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/internal/testtool"
)

// User-data goes once the node is Ready and not before, by a call that the service
// takes from root alone. That it is gone already is fine.
func TestUserDataGoesOnceReady(t *testing.T) {
	testtool.Root(t)
	api := fake.New()
	api.Stranger("worker-1")
	api.GiveUserData("worker-1", []byte("keys of worker-1"))
	service := httptest.NewServer(api.Metadata(map[string]string{"127.0.0.1": "worker-1"}))
	defer service.Close()
	m := newMachine(t, "worker-1")
	m.write(artifact.NodeFilePath, string(nodeJSON(t, "worker-1")))
	var w words
	u := userData{host{root: m.root}, serviceAt(service.URL, userdata.RootsPort), &w, 10 * time.Millisecond}
	m.log.Root = m.root
	m.log.Waiting(step.Kubelet, "for the mesh")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go u.run(ctx)
	time.Sleep(100 * time.Millisecond)
	if string(api.UserData("worker-1")) != "keys of worker-1" {
		t.Fatal("it went before the node was Ready")
	}
	m.log.Done(step.Kubelet, "Ready")
	for range 6000 { // a minute, for machines that are busy
		if api.UserData("worker-1") == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if api.UserData("worker-1") != nil {
		t.Fatal("it stays although the node is Ready")
	}
	if err := u.service.Delete(t.Context()); err != nil {
		t.Errorf("gone already: %v", err)
	}
	if resp, err := http.Get(service.URL + "/user_data"); err != nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a port that anybody may have: %v, %v", resp, err)
	}
}

// serviceAt is Scaleway's metadata service at another address.
func serviceAt(url string, port func() int) userdata.Service {
	s, _ := userdata.Of("scaleway")
	s.URLs, s.Port = []string{url}, port
	return s
}

// userDataText is what an operator sees while the provider keeps it.
func userDataText(t *testing.T) string {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }))
	defer service.Close()
	var w words
	m := newMachine(t, "worker-1")
	m.log.Root = m.root
	m.log.Done(step.Kubelet, "Ready")
	ctx, stop := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer stop()
	if err := (userData{host{root: m.root}, serviceAt(service.URL, nil), &w, time.Hour}).run(ctx); err != nil {
		t.Error(err)
	}
	return w.all() + "\n"
}

// Where the cluster file says that user-data stays, nothing deletes it.
func TestUserDataStaysWhereItIsToStay(t *testing.T) {
	for keep, want := range map[bool]bool{false: true, true: false} {
		m := newMachine(t, "worker-1")
		text, err := artifact.EncodeClusterFile(artifact.ClusterFile{Cluster: "nostromo", Role: "worker", Provider: "scaleway", KeepUserData: keep})
		if err != nil {
			t.Fatal(err)
		}
		m.write(artifact.ClusterFilePath, string(text))
		s := newService(options{root: m.root}, &m.stderr)
		if got := slices.Contains(partNames(s.parts("worker")), "userdata"); got != want {
			t.Errorf("keepUserData %v: it is deleted: %v", keep, got)
		}
	}
}
