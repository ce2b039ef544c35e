package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/testtool/signin"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

// standIn is `upstream start [IMAGE...]`, which serves what typical clusters
// download, writes keys.asc, and puts MIRROR and REGISTRY into the environment;
// `upstream asked`, which prints how often it was asked since; `upstream program NAME
// VERSION`; `upstream flatcar VERSION`; `upstream image NAME REVISION`;
// `upstream base`, which adds the Debian packages of imgforge's own base;
// `upstream break SUFFIX`, after which such files come wrong; and `upstream mend`.
func standIn() func(*testscript.TestScript, bool, []string) {
	var lock sync.Mutex
	running := map[string]*upstream.Site{} // by the script's folder
	return func(ts *testscript.TestScript, _ bool, args []string) {
		lock.Lock()
		defer lock.Unlock()
		site := running[ts.Getenv("WORK")]
		switch args[0] {
		case "start":
			site = startSite(ts, args[1:])
			running[ts.Getenv("WORK")] = site
		case "asked":
			fmt.Fprintf(ts.Stdout(), "asked %d times\n", len(site.Asked()))
		case "program":
			ts.Check(site.Program(args[1], args[2], "amd64"))
		case "flatcar":
			ts.Check(site.Flatcar("stable", "amd64", args[1]))
		case "base":
			ts.Check(site.Base(catalog.SnapshotAt(yesterday())))
			site.Asked()
		case "image":
			ts.Check(site.Image(args[1], args[2]))
			site.Asked()
		case "break":
			site.Fault(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, args[1]) || r.Method != http.MethodGet {
					return false
				}
				w.Write([]byte("something else"))
				return true
			})
		case "mend":
			site.Fault(nil)
		default:
			ts.Fatalf("upstream: %q", args)
		}
	}
}

func startSite(ts *testscript.TestScript, images []string) *upstream.Site {
	site, err := upstream.Start()
	ts.Check(err)
	ts.Defer(site.Close)
	if private := ts.Getenv("PRIVATE"); private != "" { // images are where one has to sign in
		site.Registry, site.Auth = "http://"+private, &authn.Basic{Username: signin.User, Password: signin.Password}
	}
	ts.Check(site.Typical(catalog.SnapshotAt(yesterday()), images))
	site.Asked()
	ts.Check(os.WriteFile(ts.MkAbs("keys.asc"), site.Keys, 0o644))
	ts.Setenv("MIRROR", site.Mirror)
	ts.Setenv("REGISTRY", site.Registry)
	return site
}

// yesterday is where a lock that is made today takes Debian packages from.
func yesterday() time.Time { return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -1) }
