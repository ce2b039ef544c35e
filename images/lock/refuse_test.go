package lock

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/registry"
)

// Nothing that a publisher did not sign is believed, and all failures are told at once.
func TestUnsignedIsRefused(t *testing.T) {
	s, r := site(t)
	r.Keys = nil // the catalogue's own keys did not sign what the stand-in publishes
	_, err := r.Resolve(t.Context(), wantedCluster(), nil, nil)
	for _, want := range []string{"base flatcar stable: ", ".DIGESTS.asc: its signature is not by a key that is trusted here", "debian 12 at 20261120T000000Z: ", "/InRelease: its signature is not"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	// Signed by the right key, and changed afterwards.
	r.Keys = s.Keys
	url := catalog.FlatcarDigestsURL("stable", "amd64", "4459.2.1")
	text := bytes.Replace(s.Get(url), []byte("  flatcar_production_image.bin.bz2\n-"), []byte(" flatcar_production_image.bin.bz2\n-"), 1)
	text = bytes.Replace(text, []byte("SHA512 HASH\n"), []byte("SHA512 HASH\n0"), 1)
	if err := s.Put(url, text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(t.Context(), wantedCluster(), nil, nil); err == nil || !strings.Contains(err.Error(), "its signature is not") {
		t.Errorf("%v", err)
	}
}

// Fedora signs the image: a wrong signature shows when the image is fetched.
func TestImageSignatureIsChecked(t *testing.T) {
	_, r := site(t)
	w := wantedCluster()
	w.OS = OS{"fcos", "stable"}
	l := resolve(t, r, w, nil, nil)
	other := r.Keys
	r.Keys = nil
	if err := r.Fetch(t.Context(), l); err == nil || !strings.Contains(err.Error(), "do not boot it") {
		t.Errorf("%v", err)
	}
	r.Keys = other
	if err := r.Fetch(t.Context(), l); err != nil {
		t.Error(err)
	}
}

// Every kind of thing that is gone, or whose list of hashes lies, is named.
func TestFailuresNameWhatFailed(t *testing.T) {
	s, r := site(t)
	s.Fault(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, ".sha256") || strings.HasSuffix(req.URL.Path, "version.txt") {
			w.Write([]byte("<html>please log in</html>"))
			return true
		}
		return false
	})
	w := wantedCluster()
	absent := strings.TrimPrefix(s.Registry, "http://") + "/absent:1"
	w.Images = append(w.Images, absent)
	w.Packages["sysext"] = []string{"no-such-package"}
	_, err := r.Resolve(t.Context(), w, nil, nil)
	for _, want := range []string{"version.txt: it has no line FLATCAR_VERSION_ID=", "kubelet 1.36.3: ", "the list of hashes does not hold kubelet",
		"image " + absent + ": ", "debian packages for sysext: the archive has no package no-such-package"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}

func TestOfflineListsAll(t *testing.T) {
	_, r := site(t)
	l := resolve(t, r, wantedCluster(), nil, nil)
	r.Cache = cache.Open(t.TempDir())
	r.Cache.Offline = true
	reg, err := registry.New(r.Cache, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Registry = reg
	err = r.Fetch(t.Context(), l)
	missing, ok := errors.AsType[*cache.Missing](err)
	// base and its 3 lists of packages, 4 programs, 7 packages, and manifest and index of 3 images
	if !ok || len(missing.Files) != 4+4+7+6 {
		t.Errorf("%v", err)
	}
}
