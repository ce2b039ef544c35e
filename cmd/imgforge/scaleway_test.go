package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// fakeScaleway is `scaleway start`, which serves an empty project and puts its
// credentials into the environment; `scaleway inventory`, which prints what exists;
// `scaleway deny`, after which no more server may be made, until `scaleway allow`; and
// `scaleway stranger NAME`, a server that belongs to nobody.
func fakeScaleway() func(*testscript.TestScript, bool, []string) {
	var lock sync.Mutex
	running := map[string]*fake.API{} // by the script's folder
	return func(ts *testscript.TestScript, _ bool, args []string) {
		lock.Lock()
		defer lock.Unlock()
		api := running[ts.Getenv("WORK")]
		switch {
		case args[0] == "start":
			api = fake.New()
			running[ts.Getenv("WORK")] = api
			serveScript(ts, api)
		case args[0] == "inventory":
			for _, line := range api.Inventory() {
				fmt.Fprintln(ts.Stdout(), line)
			}
		case args[0] == "stranger":
			api.Stranger(args[1])
		case args[0] == "deny":
			api.Fault = func(_ int, r *http.Request) fake.Fault {
				if r.Method == http.MethodPost && r.URL.Path == "/instance/v1/zones/fr-par-1/servers" {
					return fake.Denied
				}
				return fake.None
			}
		case args[0] == "allow":
			api.Fault = nil
		default:
			ts.Fatalf("scaleway: %q", args)
		}
	}
}

func serveScript(ts *testscript.TestScript, api *fake.API) {
	server := httptest.NewServer(api)
	ts.Defer(server.Close)
	ts.Setenv("SCW_API_URL", server.URL)
	ts.Setenv("SCW_ACCESS_KEY", fake.AccessKey)
	ts.Setenv("SCW_SECRET_KEY", fake.SecretKey)
	ts.Setenv("SCW_DEFAULT_PROJECT_ID", fake.Project)
	ts.Setenv("SCW_DEBUG", "true")
}
