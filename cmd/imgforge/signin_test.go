package main

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/internal/testtool/signin"
)

// The commands that ask a registry sign in to one that wants a password, or a token that
// ends after a few requests, as people leave credentials, and print none of them.
func TestSignIn(t *testing.T) {
	for kind, way := range map[string]string{"password": "all's helper", "short tokens": "auth"} {
		t.Run(kind, func(t *testing.T) {
			var r *signin.Registry
			if kind == "password" {
				r = signin.Basic(t)
			} else {
				r = signin.Bearer(t, 0)
			}
			signin.Wrong(t, r.Host)
			others := os.Getenv("DOCKER_CONFIG")
			signin.Ways(r.Host)[way](t)
			params := scripts("testdata/signin", func(e *testscript.Env) {
				e.Setenv("PRIVATE", r.Host)
				e.Setenv("MINE", os.Getenv("DOCKER_CONFIG"))
				e.Setenv("WRONG", others)
				e.Setenv("PATH", e.Getenv("PATH")+string(os.PathListSeparator)+os.Getenv("PATH")) // a helper is there
				e.Setenv("PASSWORD", signin.Password)
				e.Setenv("AUTH", base64.StdEncoding.EncodeToString([]byte(signin.User+":"+signin.Password)))
			})
			params.Cmds["shorten"] = func(*testscript.TestScript, bool, []string) { r.Shorten(20) } // once all is there: who pushes it takes one token
			testscript.Run(t, params)
		})
	}
}
