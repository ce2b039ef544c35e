package lock

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
)

func wantedSystem(family string) Wanted {
	w := wantedCluster()
	w.OS = OS{family, "stable"}
	return w
}

// A list that the publisher did not sign as it is, or that is of another image, is
// refused, and nothing of it is kept.
func TestTamperedListIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		family string
		tamper func(old []byte) []byte
		want   string
	}{
		"a package less": {"flatcar", func(old []byte) []byte { return old[bytes.IndexByte(old, '\n')+1:] },
			"flatcar_production_image_packages.txt: its signature is not by a key that is trusted here"},
		"another version": {"flatcar", func(old []byte) []byte {
			return bytes.Replace(old, []byte("openssl-3.4.1"), []byte("openssl-3.4.2"), 1)
		}, "its signature is not"},
		"a page": {"fcos", func([]byte) []byte { return []byte("<html>please log in</html>") }, "commitmeta.json: list of packages: invalid character"},
		"another commit": {"fcos", func(old []byte) []byte {
			return bytes.Replace(old, []byte("44.20260802.3.1"), []byte("44.20260701.3.0"), 1)
		}, "it is of version 44.20260701.3.0"},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := site(t)
			good := resolve(t, r, wantedSystem(tc.family), nil, nil).Base
			r = resolver(t, s) // with nothing in its cache
			data := tc.tamper(bytes.Clone(s.Get(good.Packages[0].URL)))
			if err := s.Put(good.Packages[0].URL, data); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Resolve(t.Context(), wantedSystem(tc.family), nil, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("locked anew: %v", err)
			}
			if r.Cache.Has(cache.Of(data)) {
				t.Error("what was refused was kept")
			}
			// What is locked already is not given either.
			if err := r.Fetch(t.Context(), &Lock{Base: good}); err == nil || !strings.Contains(err.Error(), "base.packages.image") {
				t.Errorf("fetched: %v", err)
			}
			if r.Cache.Has(cache.Of(data)) || r.Cache.Has(good.Packages[0].Digest) {
				t.Error("what was fetched wrong was kept")
			}
		})
	}
}

// What a project does not publish is left out, and with it nothing else: of an image
// without a list of its own there is none at all.
func TestAbsentLists(t *testing.T) {
	for gone, want := range map[string][]string{
		"none.txt": {"image", "containerd-flatcar", "docker-flatcar"}, "/containerd-flatcar_packages.txt": {"image", "docker-flatcar"},
		"/docker-flatcar_packages.txt.sig": {"image", "containerd-flatcar"}, "/flatcar_production_image_packages.txt": nil, "image_packages.txt.sig": nil,
	} {
		s, r := site(t)
		var said []string
		r.Logf = func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }
		s.Fault(func(w http.ResponseWriter, req *http.Request) bool {
			if strings.HasSuffix(req.URL.Path, gone) {
				http.NotFound(w, req)
				return true
			}
			return false
		})
		l := decoded(t, resolve(t, r, wantedCluster(), nil, nil))
		var got []string
		for _, p := range l.Base.Packages {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) || (len(said) > 0) != (want == nil) {
			t.Errorf("without %s: %q, said %q", gone, got, said)
		}
		if p := l.Check(wantedCluster()); len(p) > 0 {
			t.Errorf("without %s: %v", gone, p)
		}
	}
	// Who cannot answer has not said that there is none.
	s, r := site(t)
	s.Fault(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "image_packages.txt") {
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return true
		}
		return false
	})
	if _, err := r.Resolve(t.Context(), wantedCluster(), nil, nil); err == nil || !strings.Contains(err.Error(), "image_packages.txt") {
		t.Errorf("%v", err)
	}
}

// A lock from before lists were pinned is one, stays as it is, and gets them with the
// image; the image and its lists move together.
func TestListsGoWithTheImage(t *testing.T) {
	s, r := site(t)
	full := resolve(t, r, wantedCluster(), nil, nil)
	older := *full
	base := *full.Base
	base.Packages = nil
	older.Base = &base
	if text, err := older.Encode(); err != nil || bytes.Contains(text, []byte("_packages.txt")) {
		t.Fatalf("%v\n%s", err, text)
	}
	read := decoded(t, &older)
	if p := read.Check(wantedCluster()); len(p) > 0 {
		t.Errorf("%v", p)
	}
	s.Asked()
	if got := resolve(t, r, wantedCluster(), read.Lock, nil); len(got.Base.Packages) > 0 || len(s.Asked()) > 0 {
		t.Errorf("what was pinned did not stay: %+v", got.Base)
	}
	same := resolve(t, r, wantedCluster(), read.Lock, Upgrade{UpgradeBase: "4459.2.1"})
	if got := Changes(read.Lock, same); len(got) != 3 || !strings.HasPrefix(got[2], "added list of packages of image ") || same.Base.Digest != full.Base.Digest {
		t.Errorf("%q", got)
	}
	if err := s.Flatcar("stable", "amd64", "4459.2.2"); err != nil {
		t.Fatal(err)
	}
	later := resolve(t, r, wantedCluster(), full, Upgrade{UpgradeBase: ""})
	for _, p := range later.Base.Packages {
		if !strings.Contains(p.URL, "/4459.2.2/") {
			t.Errorf("%s stayed at %s", p.Name, p.URL)
		}
	}
	later.Base.Packages[0] = full.Base.Packages[0]
	mixed := decoded(t, later)
	if p := mixed.Check(wantedCluster()); len(p) != 1 || p[0].Path != "base.packages.image" || p[0].Line != mixed.Line("base.packages.image") ||
		p[0].Message != "it is not the list of the image "+later.Base.URL+": `imgforge lock --upgrade base` pins both" {
		t.Errorf("%+v", p)
	}
	twice := strings.Replace(string(stored(t)), "name: docker-flatcar", "name: "+catalog.ListOfImage, 1)
	if _, err := Decode([]byte(twice)); err == nil || !strings.Contains(err.Error(), "base.packages.image: it is there twice") {
		t.Errorf("%v", err)
	}
}
