package pki

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// text draws an identity as a user would paste it.
func text(t *testing.T) (secret, public string) {
	t.Helper()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return key.String(), key.Recipient().String()
}

func env(pairs ...string) func(string) string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

func write(t *testing.T, path string, mode os.FileMode, data string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadIdentities(t *testing.T) {
	secret, public := text(t)
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "key"), 0o600, "# a comment\r\n"+secret+"\r\n")
	config := filepath.Join(dir, "config")
	own := write(t, filepath.Join(config, "imgforge", "nostromo", "leaf.agekey"), 0o600, secret+"\n")
	tests := []struct {
		name string
		l    Locations
		from string
	}{
		{"a variable", Locations{env("IMGFORGE_IDENTITY", secret+"\n"), config, "nostromo"}, "IMGFORGE_IDENTITY"},
		{"a file", Locations{env("IMGFORGE_IDENTITY_FILE", file), config, "nostromo"}, file},
		{"the user's own file", Locations{env(), config, "nostromo"}, own},
		{"another cluster's", Locations{env(), config, "sulaco"}, ""},
		{"no configuration folder", Locations{env(), "", "nostromo"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ids, err := tt.l.Load()
			if err != nil {
				t.Fatal(err)
			}
			if ids.Leaf.from != tt.from || ids.Leaf.Present() != (tt.from != "") {
				t.Errorf("leaf identity from %q", ids.Leaf.from)
			}
			if to, _ := ids.Leaf.recipients(); tt.from != "" && (len(to) != 1 || to[0] != public) {
				t.Errorf("recipients %v", to)
			}
			if ids.Authority.Present() {
				t.Error("an authority identity came from nowhere")
			}
		})
	}
}

func TestRefusedIdentities(t *testing.T) {
	secret, _ := text(t)
	dir := t.TempDir()
	tree := filepath.Join(dir, "work")
	write(t, filepath.Join(tree, ".git", "HEAD"), 0o644, "")
	inside := write(t, filepath.Join(tree, "deep", "er", "key"), 0o600, secret)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inside, link); err != nil {
		t.Fatal(err)
	}
	// A linked work tree has a .git file instead of a folder.
	linked := write(t, filepath.Join(dir, "linked", "key"), 0o600, secret)
	write(t, filepath.Join(dir, "linked", ".git"), 0o644, "gitdir: elsewhere\n")
	open := write(t, filepath.Join(dir, "open"), 0o640, secret)
	empty := write(t, filepath.Join(dir, "empty"), 0o600, "# nothing\n")
	cut := write(t, filepath.Join(dir, "cut"), 0o600, secret[:60])
	const elsewhere = ", where it could be committed: move it elsewhere and name it in IMGFORGE_IDENTITY_FILE or IMGFORGE_AUTHORITY_IDENTITY_FILE"
	const noKey = "it holds no age identity: a line that begins with AGE-SECRET-KEY-1 is needed"
	tests := []struct {
		name string
		env  func(string) string
		want string
	}{
		{"inside a work tree", env("IMGFORGE_IDENTITY_FILE", inside), "IMGFORGE_IDENTITY_FILE: " + inside + " is inside the git work tree " + tree + elsewhere},
		{"a link into a work tree", env("IMGFORGE_AUTHORITY_IDENTITY_FILE", link), "IMGFORGE_AUTHORITY_IDENTITY_FILE: " + link + " is inside the git work tree " + tree + elsewhere},
		{"inside a linked work tree", env("IMGFORGE_IDENTITY_FILE", linked), "IMGFORGE_IDENTITY_FILE: " + linked + " is inside the git work tree " + filepath.Dir(linked) + elsewhere},
		{"readable by others", env("IMGFORGE_IDENTITY_FILE", open), "IMGFORGE_IDENTITY_FILE: " + open + " can be read or written by others (mode 0640): run `chmod 600 " + open + "`"},
		{"no file", env("IMGFORGE_IDENTITY_FILE", dir+"/none"), "IMGFORGE_IDENTITY_FILE: open " + dir + "/none: no such file or directory"},
		{"no key", env("IMGFORGE_IDENTITY_FILE", empty), "IMGFORGE_IDENTITY_FILE: " + empty + ": " + noKey},
		{"a key cut short", env("IMGFORGE_IDENTITY_FILE", cut), "IMGFORGE_IDENTITY_FILE: " + cut + ": " + noKey},
		{"a text cut short", env("IMGFORGE_IDENTITY", secret[:60]), "IMGFORGE_IDENTITY: " + noKey + "; the name of a file goes into IMGFORGE_IDENTITY_FILE"},
		{"both", env("IMGFORGE_IDENTITY", secret, "IMGFORGE_IDENTITY_FILE", cut), "IMGFORGE_IDENTITY and IMGFORGE_IDENTITY_FILE are both set: unset one of them"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Locations{tt.env, filepath.Join(dir, "config"), "nostromo"}.Load()
			if err == nil || err.Error() != tt.want {
				t.Errorf("error\n%v\nwant\n%s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), secret[20:40]) {
				t.Error("the error holds the secret")
			}
		})
	}
}

func TestCreateIdentities(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config")
	l := Locations{env(), config, "nostromo"}
	first, made, err := l.Create()
	if err != nil {
		t.Fatal(err)
	}
	if len(made) != 2 || !first.Leaf.Present() || !first.Authority.Present() {
		t.Fatalf("made %v", made)
	}
	if _, err := first.separate(); err != nil {
		t.Error(err)
	}
	before := tree(t, config)
	for path, entry := range before {
		if strings.HasSuffix(path, ".agekey") && !strings.HasPrefix(entry, "-rw------- ") {
			t.Errorf("%s is %.10s", path, entry)
		}
	}
	if _, made, err := l.Create(); err != nil || len(made) > 0 {
		t.Errorf("made again: %v, %v", made, err)
	}
	if d := diff(before, tree(t, config)); len(d) > 0 {
		t.Errorf("changed: %v", d)
	}
	if err := createIdentity(made[0], roleLeaf, "nostromo"); err == nil {
		t.Error("an identity was replaced")
	}
}

func TestCreateRefusesAWorkTree(t *testing.T) {
	home := t.TempDir()
	write(t, filepath.Join(home, ".git", "HEAD"), 0o644, "")
	_, _, err := Locations{env(), filepath.Join(home, ".config"), "nostromo"}.Create()
	if err == nil || !strings.Contains(err.Error(), "is inside the git work tree "+home) {
		t.Errorf("error %v", err)
	}
	if exists(filepath.Join(home, ".config")) {
		t.Error("something was written all the same")
	}
}

func TestOneIdentityForBothIsRefused(t *testing.T) {
	secret, _ := text(t)
	l := Locations{env("IMGFORGE_IDENTITY", secret, "IMGFORGE_AUTHORITY_IDENTITY", secret), "", "nostromo"}
	ids, err := l.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "store")
	_, _, err = Init(t.Context(), dir, cluster(1, 0), Options{Identities: ids})
	want := "make store " + dir + ": the leaf and the authority identity are the same: use two, or CI would hold the authorities too"
	if err == nil || err.Error() != want {
		t.Errorf("error %v", err)
	}
	if exists(dir) {
		t.Error("a folder was made all the same")
	}
}
