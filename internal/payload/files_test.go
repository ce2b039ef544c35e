package payload

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

// listing is one line per file, sorted.
func listing(files []artifact.File) string {
	var lines []string
	for _, f := range files {
		lines = append(lines, fmt.Sprintf("%s %04o %s:%s %x\n", f.Path, f.Mode, f.User, f.Group, sha256.Sum256(f.Contents)))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestFilesOfEveryFormat(t *testing.T) {
	doc := worker()
	var want []artifact.File
	for _, f := range doc.Files {
		f.Mode = uint32(orMode(f.Mode, 0o644))
		want = append(want, f)
	}
	for _, f := range []string{FormatButane, FormatIgnition, FormatCloudInit} {
		got, err := Files(mustRender(t, doc, Options{Format: f}).Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			i := slices.IndexFunc(got, func(g artifact.File) bool { return g.Path == w.Path })
			if i < 0 {
				t.Errorf("%s: %s is missing", f, w.Path)
			} else if string(got[i].Contents) != string(w.Contents) || got[i].Mode != w.Mode {
				t.Errorf("%s: %s is %04o %q", f, w.Path, got[i].Mode, got[i].Contents)
			}
		}
		for _, path := range []string{"/etc/systemd/system/imgforge-claim.service", "/etc/imgforge/slots/worker-2.slot/etc/imgforge/node.json"} {
			if !slices.ContainsFunc(got, func(g artifact.File) bool { return g.Path == path }) {
				t.Errorf("%s: %s is missing", f, path)
			}
		}
	}
}

func TestFilesRefusesJunk(t *testing.T) {
	for _, in := range []string{"", "{", "#cloud-config\nwrite_files: 3\n", "#cloud-config\nwrite_files: [{path: /x, encoding: rot13, permissions: '0644'}]\n",
		`{"ignition":{"version":"9.0.0"}}`, "variant: flatcar\n"} {
		if files, err := Files([]byte(in)); err == nil {
			t.Errorf("%q gave %v", in, files)
		}
	}
}

// FuzzContents: whatever a file holds, every format carries it unchanged.
func FuzzContents(f *testing.F) {
	for _, seed := range []string{"", " ", "\n", "\n a\n", "a\r\nb", "\tx\n", "#cloud-config\n", "no", "a\u0085b\u2028c\ufeff", "\xff\xfe", "--- \n...\n", "x \n  \n\n", "%00 %zz"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, contents []byte) {
		yes := true
		doc := &Document{Target: "x", Variant: "flatcar", Version: "1.1.0",
			Files: []artifact.File{{Path: "/a", Contents: contents}},
			Units: []Unit{{Name: "u.service", Enabled: &yes, Contents: service}}}
		for _, format := range []string{FormatButane, FormatIgnition, FormatCloudInit} {
			checkFile(t, mustRender(t, doc, Options{Format: format}).Data, "/a", artifact.File{Mode: 0o644, Contents: contents})
		}
	})
}

func TestAudit(t *testing.T) {
	login := "passwd:\n  users: [{name: ripley, password_hash: $6$x, ssh_authorized_keys: [ssh-ed25519 AAAA]}]\n" +
		"storage:\n  files: [{path: /root/.ssh/authorized_keys, contents: {inline: x}}, {path: /etc/key, contents: {inline: BEGIN OPENSSH PRIVATE KEY}}]\n"
	for _, format := range []string{FormatButane, FormatIgnition, FormatCloudInit} {
		doc := worker()
		found, err := Audit(mustRender(t, doc, Options{Format: format}).Data)
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %v in a document without logins (%v)", format, found, err)
		}
		doc.Extra = []Snippet{{Text: login}}
		found, err = Audit(mustRender(t, doc, Options{Format: format}).Data)
		if err != nil || len(found) != 4 {
			t.Errorf("%s: found %q, want a password, a key and two files (%v)", format, found, err)
		}
	}
}
