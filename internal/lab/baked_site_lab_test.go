//go:build lab

package lab

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

// published are the versions of the programs that the lab has, where they are not
// those that a lock takes by itself.
func published() map[string]string {
	return map[string]string{catalog.Containerd: "2.2.1"}
}

// publish serves the lab's own programs and images as their projects publish them, on
// loopback, and Debian's archive as it is today.
func (l *Lab) publish(t *testing.T, refs plan.Images, kubernetes string) *upstream.Site {
	t.Helper()
	site, err := upstream.Start()
	must(t, err)
	t.Cleanup(site.Close)
	site.Fault(debianArchive(t))
	versions := catalog.Versions(kubernetes)
	for name, version := range published() {
		versions[name] = version
	}
	for of, version := range versions {
		must(t, site.RealProgram(of, version, "amd64", l.program))
	}
	dir := t.TempDir()
	for n, i := range imagesOf(refs) {
		if i.product || i.ref == ProbeImage || i.ref == refs.MetricsServer {
			continue // made by imgforge itself, and what the cluster does not name
		}
		// Its layer is not compressed: an emulated processor takes longer to unpack one than
		// to read more.
		img, err := l.makeImage(t.Context(), filepath.Join(dir, fmt.Sprintf("%d.tar", n)), i)
		must(t, err)
		must(t, site.Images(i.ref, map[string]v1.Image{"amd64": img}))
	}
	return site
}

// program is the lab's own of a command.
func (l *Lab) program(command string) ([]byte, error) {
	switch command {
	case "README.md":
		return []byte("Built from the modules that the lab pins.\n"), nil
	case "crictl": // no module of a release can be built alone; a node does not need it
		return []byte("#!/bin/sh\necho the lab has no crictl >&2\nexit 1\n"), nil
	case "bandwidth", "bridge", "firewall", "host-local", "loopback", "portmap", "ptp", "tuning":
		command = "cni-" + command
	case "runc":
		command = "runc-static"
	}
	path, err := l.Tool(command)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// debianArchive answers for every snapshot of Debian's archive with what the archive of
// this machine is today.
func debianArchive(t *testing.T) func(http.ResponseWriter, *http.Request) bool {
	t.Helper()
	out, err := (&Lab{Config: Config{Tool: func(name string) (string, error) { return testtool.Path(t, name), nil }}}).
		run(t.Context(), "apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages")
	must(t, err)
	archives := map[string]*httputil.ReverseProxy{}
	for line := range strings.Lines(out) {
		suite, uri, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind := map[string]string{release: "debian", release + "-security": "debian-security"}[suite]
		at, err := url.Parse(uri)
		must(t, err)
		if kind != "" {
			archives[kind] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = at.Host }}
		}
	}
	if len(archives) != 2 {
		testtool.Skip(t, "the archives of Debian %s and of its security updates are needed in apt's sources, which has %d of them", release, len(archives))
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		rest, ok := strings.CutPrefix(r.URL.Path, "/snapshot.debian.org/archive/")
		parts := strings.SplitN(rest, "/", 3)
		if !ok || len(parts) < 3 || archives[parts[0]] == nil {
			return false
		}
		if _, err := time.Parse("20060102T150405Z", parts[1]); err != nil {
			return false
		}
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/"+parts[2], ""
		archives[parts[0]].ServeHTTP(w, r)
		return true
	}
}
