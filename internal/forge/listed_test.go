package forge

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	spdx "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"

	"github.com/imgforge/imgforge/images/attest"
	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/lock"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool/upstream"
)

// lockedSystem is a build of nodes of a family, whose base was locked from a stand-in
// for its publisher, and that publisher.
func lockedSystem(t *testing.T, family string) (*imaging, *upstream.Site) {
	t.Helper()
	site, err := upstream.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.Close)
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	if err := site.Typical(catalog.SnapshotAt(now), nil); err != nil {
		t.Fatal(err)
	}
	c := cache.Open(t.TempDir())
	c.Mirrors, c.MirrorsOnly, c.Attempts = []string{site.Mirror}, true, 1
	r := &lock.Resolver{Cache: c, Now: now, Keys: site.Keys}
	w := lock.Wanted{Cluster: "nostromo", Kubernetes: "1.36.3", Arch: "amd64", OS: lock.OS{Family: family, Channel: "stable"}}
	l, err := r.Resolve(t.Context(), w, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &plan.Plan{Cluster: "nostromo"}
	p.OS.Family = family
	return &imaging{build: &build{cluster: &cluster{plan: p}}, lock: &lock.Located{Lock: l}, from: r}, site
}

// listed are the components of the base, by their package URLs, out of a document that
// SPDX's own library reads and finds nothing wrong with.
func listed(t *testing.T, m *imaging) []string {
	t.Helper()
	base := m.baseComponent("sha256:"+strings.Repeat("ab", 32), []string{"images/master.raw"})
	l := &partsList{}
	if err := m.baseInside(l, l.add(base)); err != nil {
		t.Fatal(err)
	}
	data, err := attest.SBOM(attest.Folder{Cluster: "nostromo", Created: "2026-01-01T00:00:00Z", Components: l.all,
		Files: []attest.File{{Path: "images/master.raw", SHA256: strings.Repeat("cd", 32)}}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := spdx.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := spdxlib.ValidateDocument(d); err != nil {
		t.Error(err)
	}
	inside := map[string]bool{}
	for _, r := range d.Relationships {
		if r.Relationship == "CONTAINS" && strings.HasPrefix(string(r.RefA.ElementRefID), "Package-"+m.plan.OS.Family) {
			inside[string(r.RefB.ElementRefID)] = true
		}
	}
	var out []string
	for _, p := range d.Packages {
		if inside[string(p.PackageSPDXIdentifier)] {
			out = append(out, p.PackageExternalReferences[0].Locator)
		}
	}
	return out
}

// Every package that the publisher lists is in the document, and nothing is said to be missing.
func TestPublishedListsAreListed(t *testing.T) {
	for family, want := range map[string]struct {
		count int
		some  []string
	}{
		"flatcar": {10, []string{"pkg:ebuild/sys-apps/systemd@257.9", "pkg:ebuild/app-arch/bzip2@1.0.8-r5", "pkg:ebuild/app-containers/containerd@2.1.5", "pkg:ebuild/app-containers/docker@28.0.4"}},
		"fcos": {4, []string{"pkg:rpm/fedora/bash@5.3.0-2.fc44?arch=x86_64&distro=fedora-44", "pkg:rpm/fedora/shadow-utils@4.18.0-3.fc44?arch=x86_64&distro=fedora-44&epoch=2",
			"pkg:rpm/fedora/ca-certificates@2025.2.80-4.fc44?arch=noarch&distro=fedora-44"}},
	} {
		m, site := lockedSystem(t, family)
		got := listed(t, m)
		lines := 0
		for _, list := range m.lock.Base.Packages {
			text := string(site.Get(list.URL))
			lines += max(strings.Count(text, "::"), strings.Count(text, "[")-1)
		}
		if len(got) != lines || lines != want.count || len(m.result.Unlisted) > 0 {
			t.Errorf("%s: %d of %d packages are listed, and %q said to be missing", family, len(got), lines, m.result.Unlisted)
		}
		for _, url := range want.some {
			if !slices.Contains(got, url) {
				t.Errorf("%s: %s is not in %q", family, url, got)
			}
		}
	}
}

// What has no list is said: an extension, whose program no other list has either.
func TestWhatIsNotListedIsSaid(t *testing.T) {
	m, site := lockedSystem(t, "flatcar")
	image, lists := m.lock.Base.URL, m.lock.Base.Packages
	m.lock.Base.Packages = lists[:2]
	if got := listed(t, m); len(got) != 9 || fmt.Sprint(m.result.Unlisted) != "[the packages of the system extension docker-flatcar, which lies in the image of flatcar]" {
		t.Errorf("%d, %q", len(got), m.result.Unlisted)
	}
	// Images of before have the programs as packages of their own.
	if err := site.FlatcarList(image, catalog.ListOfImage, []byte("app-emulation/containerd-1.7.1::x\napp-emulation/docker-20.10.24::x\n")); err != nil {
		t.Fatal(err)
	}
	l, err := m.from.Resolve(t.Context(), lock.Wanted{Kubernetes: "1.36.3", Arch: "amd64", OS: m.lock.OS}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.lock.Base.Packages, m.result.Unlisted = l.Base.Packages[:1], nil
	if got := listed(t, m); len(got) != 2 || len(m.result.Unlisted) > 0 {
		t.Errorf("%q, %q", got, m.result.Unlisted)
	}
}
