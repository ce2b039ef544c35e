package catalog

import (
	"slices"
	"strings"
	"testing"
)

// stanza is a paragraph of an index.
func stanza(name, fields string) string {
	return "Package: " + name + "\nVersion: 1\nArchitecture: amd64\nFilename: pool/" + name + ".deb\nSize: 1\nSHA256: " + strings.Repeat("a", 64) + "\n" + fields + "\n"
}

// Of alternatives the one counts that is asked for itself, also under a name that it
// provides; and a whole system has what is required.
func TestClosureOfAWholeSystem(t *testing.T) {
	index := stanza("linux", "Depends: initramfs-tools (>= 0.1) | linux-initramfs-tool, usrmerge | usr-is-merged\n") +
		stanza("initramfs-tools", "Conflicts: dracut\n") + stanza("dracut", "Provides: linux-initramfs-tool\n") +
		stanza("usrmerge", "Depends: perl\n") + stanza("usr-is-merged", "") + stanza("perl", "") + stanza("bash", "Essential: yes\n") + stanza("mount", "Priority: required\n")
	packages, err := Suites("12", "20261120T000000Z")[0].ParsePackages(strings.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	a := NewArchive(packages)
	if got := a.Required(); !slices.Equal(got, []string{"bash", "mount"}) {
		t.Errorf("required: %q", got)
	}
	for _, c := range []struct{ names, want []string }{
		{[]string{"linux", "dracut", "usr-is-merged"}, []string{"dracut", "linux", "usr-is-merged"}},
		{[]string{"linux"}, []string{"initramfs-tools", "linux", "perl", "usrmerge"}},
	} {
		found, err := a.Closure(c.names, nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, p := range found {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, c.want) {
			t.Errorf("%q needs %q, not %q", c.names, names, c.want)
		}
	}
}
