//go:build lab

package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A new helper makes a new store on top of the same images, and an image can be
// left out of a copy while the store keeps it.
func TestImageStoreIsLayered(t *testing.T) {
	b := newTrial(t, "tinc-vip")
	refs := b.Plan.Images
	names := func(store string) (list []string) {
		must(t, b.withContainerd(t.Context(), filepath.Join(store, storeFolder), func(ctr commands, _ string) error {
			out, err := ctr("images", "list", "--quiet")
			list = strings.Fields(out)
			return err
		}))
		return list
	}
	has := func(list []string, ref string) bool {
		return slices.ContainsFunc(list, func(name string) bool { return name == ref || strings.HasSuffix(name, "/"+ref) })
	}
	store, err := b.ImageStore(t.Context(), refs)
	must(t, err)
	below := func() []string {
		found, err := filepath.Glob(filepath.Join(b.Cache, "images-*"))
		must(t, err)
		return found
	}
	before, all := below(), names(store)
	for _, i := range imagesOf(refs) {
		if !has(all, i.ref) {
			t.Errorf("%s is not in the store, which has %q", i.ref, all)
		}
	}

	lacking, err := b.StoreWithout(t.Context(), store, refs.CoreDNS)
	must(t, err)
	if left := names(lacking); has(left, refs.CoreDNS) || len(left) != len(all)-1 {
		t.Errorf("without %s there are %q", refs.CoreDNS, left)
	}
	if !has(names(store), refs.CoreDNS) {
		t.Errorf("%s is gone from the store itself", refs.CoreDNS)
	}

	old := b.Tool
	b.Tool = func(name string) (string, error) {
		path, err := old(name)
		if err != nil || name != nodeHelper {
			return path, err
		}
		other := filepath.Join(t.TempDir(), name)
		if err := copyBytes(path, other); err != nil {
			return "", err
		}
		f, err := os.OpenFile(other, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			return "", err
		}
		defer f.Close()
		_, err = f.WriteString("another build")
		return other, err
	}
	newer, err := b.ImageStore(t.Context(), refs)
	must(t, err)
	if newer == store || !slices.Equal(below(), before) {
		t.Errorf("a new helper gives %s instead of %s, on top of %q instead of %q", newer, store, below(), before)
	}
	if !slices.Equal(names(newer), all) {
		t.Errorf("with a new helper there are %q, want %q", names(newer), all)
	}
	must(t, os.RemoveAll(newer))
}
