package artifact

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func newPEMKey(t *testing.T) (private, public []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

func searchIn(t *testing.T, s *search, text []byte) []int {
	t.Helper()
	var found []int
	// Whole, and byte by byte: a secret must not escape between two reads.
	for _, r := range []io.Reader{bytes.NewReader(text), iotest.OneByteReader(bytes.NewReader(text))} {
		sc := s.begin()
		if _, err := io.Copy(sc, r); err != nil {
			t.Fatal(err)
		}
		if found != nil && fmt.Sprint(found) != fmt.Sprint(sc.found()) {
			t.Errorf("found %v in one piece, %v byte by byte", found, sc.found())
		}
		found = append([]int{}, sc.found()...)
	}
	return found
}

func TestSearchFindsEveryForm(t *testing.T) {
	key, public := newPEMKey(t)
	token := []byte("s3cr3t-t0ken-of-the-cluster")
	binary := make([]byte, 32)
	if _, err := rand.Read(binary); err != nil {
		t.Fatal(err)
	}
	s := newSearch([][]byte{token, key, binary})
	block, _ := pem.Decode(key)
	asJSON := func(b []byte) []byte {
		out, err := json.Marshal(string(b))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	indented := []byte("key: |\n    " + strings.ReplaceAll(string(key), "\n", "\n    "))
	wrapped := func(b []byte) []byte {
		text := base64.StdEncoding.EncodeToString(b)
		return []byte(text[:20] + "\n" + text[20:])
	}
	around := func(before string, b []byte) []byte {
		return []byte(base64.StdEncoding.EncodeToString(append([]byte(before), append(b, "yy"...)...)))
	}
	tests := map[string]struct {
		text []byte
		want string
	}{
		"clean":                   {[]byte("nothing to see"), "[]"},
		"public key":              {public, "[]"},
		"empty":                   {nil, "[]"},
		"token":                   {append([]byte("x="), token...), "[0]"},
		"token in hex":            {[]byte(hex.EncodeToString(token)), "[0]"},
		"token in base64":         {around("", token), "[0]"},
		"token in base64, +1":     {around("x", token), "[0]"},
		"token in base64, +2":     {around("xx", token), "[0]"},
		"token in wrapped base64": {wrapped(token), "[0]"},
		"PEM":                     {key, "[1]"},
		"PEM in JSON":             {asJSON(key), "[1]"},
		"PEM in YAML":             {indented, "[1]"},
		"PEM in base64":           {around("x", key), "[1]"},
		"DER":                     {block.Bytes, "[1]"},
		"DER in base64url":        {[]byte(base64.RawURLEncoding.EncodeToString(block.Bytes)), "[1]"},
		"binary":                  {append([]byte{0, 1}, binary...), "[2]"},
		"two":                     {append(bytes.Clone(token), binary...), "[0 2]"},
		"almost":                  {token[:len(token)-1], "[]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(searchIn(t, s, tt.text)); got != tt.want {
				t.Errorf("found %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSearchLeavesOutWhatIsEverywhere(t *testing.T) {
	s := newSearch([][]byte{[]byte(""), []byte("  \n"), []byte("abc"), []byte("abcdef")})
	if s.searched != 1 || s.short != 3 {
		t.Errorf("%d searched, %d too short", s.searched, s.short)
	}
	if got := fmt.Sprint(searchIn(t, s, []byte("abc abcdef"))); got != "[3]" {
		t.Errorf("found %s", got)
	}
}

func FuzzSearch(f *testing.F) {
	f.Add([]byte("secret"), []byte("a secret text"), 3)
	f.Fuzz(func(t *testing.T, secret, text []byte, cut int) {
		s := newSearch([][]byte{secret})
		if s.searched == 0 {
			return
		}
		sc := s.begin()
		cut = min(max(cut, 0), len(text))
		sc.Write(text[:cut])
		sc.Write(text[cut:])
		plain := secretForms(bytes.TrimSpace(secret))
		want := false
		for _, form := range plain {
			want = want || bytes.Contains(text, form)
		}
		if got := len(sc.found()) > 0; want && !got {
			t.Errorf("%q in %q was not found", secret, text)
		}
	})
}

func BenchmarkSearchWith10000Keys(b *testing.B) {
	secrets := make([][]byte, 10000)
	for i := range secrets {
		secrets[i] = make([]byte, 121)
		if _, err := rand.Read(secrets[i]); err != nil {
			b.Fatal(err)
		}
	}
	s := newSearch(secrets)
	text := bytes.Repeat([]byte("quite ordinary text of an image, 64 bytes long, as it may come. "), 1<<14)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		s.begin().Write(text)
	}
}
