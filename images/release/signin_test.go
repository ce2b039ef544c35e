package release

import (
	"log"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/logs"

	"github.com/imgforge/imgforge/internal/testtool/signin"
)

// Everything goes into a registry that wants a password or a token, however its
// credentials are left, and when each token ends after a few requests.
func TestSignIn(t *testing.T) {
	for kind, r := range map[string]*signin.Registry{"basic": signin.Basic(t), "bearer": signin.Bearer(t, 0), "short tokens": signin.Bearer(t, 5)} {
		ways := signin.Ways(r.Host)
		if r.Tokens != nil {
			ways["identity token"] = func(t *testing.T) { signin.Identity(t, r.Host) }
		}
		for way, set := range ways {
			t.Run(kind+" by "+way, func(t *testing.T) {
				set(t)
				var said strings.Builder
				logs.Warn, logs.Progress, logs.Debug = log.New(&said, "", 0), log.New(&said, "", 0), log.New(&said, "", 0)
				target := Target{Repository: r.Host + "/clusters/" + word(kind+way), Attempts: 3, Backoff: func(int) time.Duration { return 0 }}
				s := someSet(t)
				mustPush(t, target, s)
				if again := mustPush(t, target, s); !again.Already {
					t.Errorf("pushed again: %+v", again)
				}
				for _, secret := range r.Secrets() {
					if strings.Contains(said.String(), secret) {
						t.Errorf("a secret was logged")
					}
				}
			})
		}
		t.Run(kind+" refused", func(t *testing.T) {
			target := Target{Repository: r.Host + "/clusters/refused", Attempts: 2, Backoff: func(int) time.Duration { return 0 }}
			signin.None(t)
			if _, err := Push(t.Context(), target, someSet(t), nil); err == nil || !strings.Contains(err.Error(), "sign in") {
				t.Errorf("without credentials: %v", err)
			}
			password := signin.Wrong(t, r.Host)
			if _, err := Push(t.Context(), target, someSet(t), nil); err == nil || !strings.Contains(err.Error(), "sign in") || strings.Contains(err.Error(), password) {
				t.Errorf("with a wrong password: %v", err)
			}
		})
		if r.Tokens != nil {
			given, refused := r.Tokens.Given()
			t.Logf("%s: %d tokens, %d refusals", kind, given, refused)
		}
	}
}

// word is a name of a repository.
func word(s string) string { return strings.NewReplacer(" ", "-", "'", "").Replace(s) }
