package artifact

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestVerifyFindsEveryChange(t *testing.T) {
	in := func(dir, rel string) string { return filepath.Join(dir, filepath.FromSlash(rel)) }
	tests := map[string]struct {
		change func(dir string) error
		want   string
	}{
		"nothing": {func(string) error { return nil }, ""},
		"a byte": {func(dir string) error { return os.WriteFile(in(dir, "public/plan.json"), []byte("firsT"), 0o644) },
			"public/plan.json: its sha256 is "},
		"longer": {func(dir string) error { return os.WriteFile(in(dir, "public/plan.json"), []byte("first!"), 0o644) },
			"public/plan.json: it has 6 bytes, the manifest says 5"},
		"a secret byte": {func(dir string) error {
			return os.WriteFile(in(dir, "secret/nodes/master-1/user-data"), []byte("first kez"), 0o644)
		},
			"secret/nodes/master-1/user-data: its sha256 is "},
		"missing":        {func(dir string) error { return os.Remove(in(dir, "public/plan.json")) }, "public/plan.json: is missing"},
		"missing folder": {func(dir string) error { return os.RemoveAll(in(dir, "secret/nodes")) }, "secret/nodes/master-1/user-data: is missing"},
		"no secret part": {func(dir string) error { return os.RemoveAll(in(dir, "secret")) }, "secret/manifest.json: read manifest"},
		"extra":          {func(dir string) error { return os.WriteFile(in(dir, "public/x"), nil, 0o644) }, "public/x: is not in the manifest"},
		"extra folder":   {func(dir string) error { return os.Mkdir(in(dir, "public/d"), 0o755) }, "public/d: is not in the manifest"},
		"extra part":     {func(dir string) error { return os.Mkdir(in(dir, "private"), 0o755) }, "private: is not from imgforge"},
		"open secret":    {func(dir string) error { return os.Chmod(in(dir, "secret/nodes/master-1/user-data"), 0o644) }, "secret/nodes/master-1/user-data: its mode is 0644, not 0600"},
		"open folder":    {func(dir string) error { return os.Chmod(in(dir, "secret/nodes"), 0o755) }, "secret/nodes: its mode is 0755, not 0700"},
		"closed public":  {func(dir string) error { return os.Chmod(in(dir, "public"), 0o700) }, "public: its mode is 0700, not 0755"},
		"checksums":      {func(dir string) error { return os.WriteFile(in(dir, "public/SHA256SUMS"), nil, 0o644) }, "public/SHA256SUMS: it does not agree"},
		"a link": {func(dir string) error {
			os.Remove(in(dir, "public/plan.json"))
			return os.Symlink("manifest.json", in(dir, "public/plan.json"))
		}, "public/plan.json: it is not a regular file"},
		"another build": {func(dir string) error {
			return edit(in(dir, "secret/manifest.json"), "2027", "2028")
		}, "secret/manifest.json: it is of another build"},
		"a manifest that climbs out": {func(dir string) error {
			return edit(in(dir, "public/manifest.json"), `"plan.json"`, `"../secret/x"`)
		}, "must be relative and clean"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			build(t, dir, "first")
			if err := tt.change(dir); err != nil {
				t.Fatal(err)
			}
			v, err := Verify(dir, VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(v.Problems, "\n")
			if tt.want == "" && all != "" || !strings.Contains(all, tt.want) {
				t.Errorf("problems:\n%s\nwant %q", all, tt.want)
			}
		})
	}
}

func edit(path, from, to string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, bytes.Replace(data, []byte(from), []byte(to), 1), 0o600)
}

func TestVerifyOfNothing(t *testing.T) {
	if _, err := Verify(filepath.Join(t.TempDir(), "out"), VerifyOptions{}); err == nil {
		t.Error("an absent folder is verified")
	}
}

func TestVerifyFindsSecretsInPublic(t *testing.T) {
	secret := []byte("correct horse battery staple")
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	if _, err := zw.Write(append([]byte("password: "), secret...)); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	expand := func(name string, data []byte) [][]byte {
		zr, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil
		}
		out, err := io.ReadAll(zr)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return [][]byte{out}
	}
	for name, tt := range map[string]struct {
		public []byte
		want   string
	}{
		"clean":  {[]byte("nothing"), ""},
		"plain":  {secret, "public/f: it holds secret 2 of 2: "},
		"packed": {packed.Bytes(), "public/f: it holds secret 2 of 2 in something packed inside it: "},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			tree, err := NewTree(dir, TreeInfo{})
			if err != nil {
				t.Fatal(err)
			}
			if err := tree.AddBytes(Item{Path: "f", Kind: "x"}, tt.public); err != nil {
				t.Fatal(err)
			}
			if err := tree.AddBytes(Item{Path: "f", Kind: "x", Secret: true}, secret); err != nil {
				t.Fatal(err)
			}
			if err := tree.Commit(); err != nil {
				t.Fatal(err)
			}
			v, err := Verify(dir, VerifyOptions{Secrets: [][]byte{[]byte("another secret"), secret}, Expand: expand})
			if err != nil {
				t.Fatal(err)
			}
			all := strings.Join(v.Problems, "\n")
			if tt.want == "" && all != "" || !strings.Contains(all, tt.want) || strings.Contains(all, "horse") {
				t.Errorf("problems:\n%s\nwant %q and not the secret itself", all, tt.want)
			}
		})
	}
}
