package registry

import (
	"bytes"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/logs"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/internal/testtool/signin"
)

// private puts an image where nobody reads without signing in.
func private(t *testing.T, host string) string {
	t.Helper()
	image := host + "/team/private:1"
	tag, err := name.NewTag(image)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(bytes.Repeat([]byte("amd64"), 50000), types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	config, _ := img.ConfigFile()
	config.OS, config.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}})
	if err := remote.WriteIndex(tag, index, remote.WithAuth(&authn.Basic{Username: signin.User, Password: signin.Password})); err != nil {
		t.Fatal(err)
	}
	return image
}

// anew is a client with an empty cache, for whoever the environment signs in.
func anew(t *testing.T, registries ...Registry) *Client {
	t.Helper()
	c := cache.Open(t.TempDir())
	c.Attempts, c.Backoff = 2, func(int) time.Duration { return 0 }
	var err error
	if c.Client, err = cache.NewClient(nil); err != nil {
		t.Fatal(err)
	}
	out, err := New(c, registries)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An image is resolved and fetched from a registry that wants a password or a token,
// however its credentials are left, and when a token ends after two requests.
func TestSignIn(t *testing.T) {
	var said strings.Builder
	logs.Warn, logs.Progress, logs.Debug = log.New(&said, "", 0), log.New(&said, "", 0), log.New(&said, "", 0)
	for kind, r := range map[string]*signin.Registry{"basic": signin.Basic(t), "bearer": signin.Bearer(t, 0), "short tokens": signin.Bearer(t, 0)} {
		image := private(t, r.Host)
		if kind == "short tokens" { // not before: the library that pushes here sends no body again
			r.Shorten(2)
		}
		ways := signin.Ways(r.Host)
		if r.Tokens != nil {
			ways["identity token"] = func(t *testing.T) { signin.Identity(t, r.Host) }
		}
		for way, set := range ways {
			t.Run(kind+" by "+way, func(t *testing.T) {
				set(t)
				whole(t, anew(t), image, "amd64")
			})
		}
		t.Run(kind+" by the cluster file", func(t *testing.T) {
			signin.None(t)
			whole(t, anew(t, Registry{Host: r.Host, Username: signin.User, Password: signin.Password}), image, "amd64")
		})
		t.Run(kind+" refused", func(t *testing.T) {
			signin.None(t)
			if _, err := anew(t).Resolve(t.Context(), image, "amd64"); err == nil || !strings.Contains(err.Error(), "sign in with `docker login`") {
				t.Errorf("without credentials: %v", err)
			}
			password := signin.Wrong(t, r.Host)
			if _, err := anew(t).Resolve(t.Context(), image, "amd64"); err == nil || !strings.Contains(err.Error(), "sign in") || strings.Contains(err.Error(), password) {
				t.Errorf("with a wrong password: %v", err)
			}
		})
		for _, secret := range append(r.Secrets(), "a-wrong-one") {
			if strings.Contains(said.String(), secret) {
				t.Errorf("a secret was logged")
			}
		}
	}
}
