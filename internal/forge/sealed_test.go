package forge

import (
	"context"
	"crypto/rand"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
)

// withStore is a cluster file with a store of its own, and what opens it.
func withStore(t *testing.T, text string) (*App, Source) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "cluster.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := map[string]string{"XDG_CONFIG_HOME": home, "HOME": home}
	app := &App{Now: time.Now, Rand: rand.Reader, Getenv: func(name string) string { return env[name] }, Log: io.Discard}
	src := Source{File: file}
	if _, err := app.PKIInit(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	return app, src
}

// atFake points the SDK's environment at a provider that is none.
func atFake(t *testing.T) *fake.API {
	t.Helper()
	api := fake.New()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{"SCW_API_URL": server.URL, "SCW_ACCESS_KEY": fake.AccessKey, "SCW_SECRET_KEY": fake.SecretKey,
		"SCW_DEFAULT_PROJECT_ID": fake.Project, "SCW_CONFIG_PATH": filepath.Join(t.TempDir(), "none.yaml")} {
		t.Setenv(name, value)
	}
	return api
}

// A server that boots a sealed image gets its claim line and nothing else as user-data,
// and that line opens its slot of the role's payload; one that boots another image gets
// its payload.
func TestUpGivesSealedImagesTheirLines(t *testing.T) {
	app, src := withStore(t, `
name: tiny
platform: {provider: scaleway, zone: fr-par-1, scaleway: {image: `+fake.Label+`}}
pki: {algorithm: ecdsa-256}
roles:
  master: {count: 1, type: PRO2-XXS}
  worker: {count: 2, reserve: 1, type: PRO2-XXS, image: `+fake.ImageID+`}
`)
	api := atFake(t)
	if _, err := app.ScalewayUp(t.Context(), UpOptions{Source: src}); err != nil {
		t.Fatal(err)
	}
	sealed, err := app.Render(context.Background(), RenderOptions{Source: src, Role: "worker", Sealed: true})
	if err != nil {
		t.Fatal(err)
	}
	files, err := payload.Files(sealed.Data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"worker-1", "worker-2"} {
		node, key, err := artifact.ParseClaim(string(api.UserData(name)))
		if err != nil || node != name {
			t.Fatalf("%s boots with something else than its claim line: %q, %v", name, node, err)
		}
		opened := 0
		for _, f := range files {
			if !strings.HasPrefix(f.Path, artifact.SlotDir+"/") {
				continue
			}
			if slot, err := artifact.OpenSlot(f.Contents, key); err == nil {
				opened++
				if slot.Node != name {
					t.Errorf("the line of %s opens the slot of %s", name, slot.Node)
				}
			}
		}
		if opened != 1 {
			t.Errorf("the line of %s opens %d slots", name, opened)
		}
	}
	if data, err := payload.Files(api.UserData("master-1")); err != nil || len(data) == 0 {
		t.Errorf("master-1 has no image of its own and boots with no payload: %v", err)
	}
	if again, err := app.ScalewayUp(t.Context(), UpOptions{Source: src, Dry: true}); err != nil || len(again.Changes) > 0 {
		t.Errorf("a second run would change something: %v, %v", again, err)
	}
}

// What a person is told to paste are the lines of the servers that are to exist.
func TestClaimHelp(t *testing.T) {
	for _, provider := range []string{"scaleway", "exoscale", "hetzner", "ec2", "openstack", "proxmox", "libvirt", "metal"} {
		if steps := claimSteps(provider); len(steps) < 2 {
			t.Errorf("%s: %q", provider, steps)
		}
	}
	app, src := withStore(t, `
name: tiny
platform: {provider: scaleway, zone: fr-par-1, scaleway: {image: `+fake.Label+`}}
roles:
  master: {count: 1}
  worker: {count: 2, reserve: 1, type: PRO2-XXS, image: `+fake.ImageID+`}
`)
	help, err := app.ClaimHelp(src, "worker")
	if err != nil || len(help.Claims) != 2 || help.Claims[1].Node != "worker-2" {
		t.Fatalf("%+v, %v", help, err)
	}
	console, err := app.Console(src, "worker", "")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range console.Servers[0].Rows {
		rows = append(rows, row.Field+": "+row.Value)
	}
	text := strings.Join(rows, "\n")
	for _, want := range []string{"Image: " + fake.ImageID, "Cloud-init: paste the line that `imgforge claims --role worker` prints for it, and nothing else"} {
		if !strings.Contains(text, want) {
			t.Errorf("the console form lacks %q:\n%s", want, text)
		}
	}
}
