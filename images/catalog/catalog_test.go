package catalog

import (
	"bytes"
	"encoding/hex"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/internal/testtool"
)

// The embedded keys are those whose fingerprints the projects publish; nobody else's.
func TestKeysAreTheProjectsOwn(t *testing.T) {
	for name, want := range map[string][]string{
		"flatcar":   {"F88CFEDEFF29A5B4D9523864E25D9AED0593B34A"},
		"fedora":    {"36F612DCF27F7D1A48A835E4DBFCF71C6D9F90A6", "4F50A6114CD5C6976A7F1179655A4B02F577861E", "C6E7F081CF80E13146676E88829B606631645531"},
		"debian-12": {"05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", "4D64FEC119C2029067D6E791F8D2585B8783D481", "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8"},
		"debian-13": {"04B54C3CDCA79751B16BC6B5225629DF75B188BD", "41587F7DB8C774BCCF131416762F67A0B2C39DE4", "5E04A1E3223A19A20706E20F9904613D4CCE68C6"},
	} {
		data, err := Keys(name)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := NewRing(data, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range ring.keys {
			got = append(got, print(k))
			if k.PrivateKey != nil {
				t.Errorf("%s: a private key", name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	// Those that sign with a subkey have one that is good today and next year.
	for name, day := range map[string]string{"flatcar": "2027-03-01", "debian-12": "2030-12-31", "debian-13": "2032-12-31", "fedora": "2030-01-01"} {
		data, _ := Keys(name)
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		ring, err := NewRing(data, at)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range ring.keys {
			if _, ok := k.SigningKey(at); !ok {
				t.Errorf("%s: %s signs nothing on %s", name, print(k), day)
			}
		}
	}
	if _, err := Keys("nobody"); err == nil {
		t.Error("keys of nobody")
	}
	if _, err := NewRing([]byte("no key"), time.Time{}); err == nil {
		t.Error("a ring of nothing")
	}
}

func TestSignatures(t *testing.T) {
	signer, err := openpgp.NewEntity("a", "", "a@example.org", nil)
	if err != nil {
		t.Fatal(err)
	}
	var public, message, detached, armoured bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	signer.Serialize(w)
	w.Close()
	c, err := clearsign.Encode(&message, signer.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("text\n"))
	c.Close()
	if err := openpgp.DetachSign(&detached, signer, strings.NewReader("data"), nil); err != nil {
		t.Fatal(err)
	}
	if err := openpgp.ArmoredDetachSign(&armoured, signer, strings.NewReader("data"), nil); err != nil {
		t.Fatal(err)
	}
	debian, _ := Keys("debian-12")
	trusted, err := NewRing(append(bytes.Clone(debian), public.Bytes()...), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewRing(debian, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, by, err := trusted.ClearSigned(message.Bytes())
	if err != nil || string(text) != "text\n" || by != strings.ToUpper(hex.EncodeToString(signer.PrimaryKey.Fingerprint)) {
		t.Errorf("%q by %s: %v", text, by, err)
	}
	for _, signature := range [][]byte{detached.Bytes(), armoured.Bytes()} {
		if _, err := trusted.Detached(strings.NewReader("data"), signature); err != nil {
			t.Error(err)
		}
		if _, err := trusted.Detached(strings.NewReader("other"), signature); err == nil {
			t.Error("a signature over something else was believed")
		}
		if _, err := stranger.Detached(strings.NewReader("data"), signature); err == nil {
			t.Error("a stranger's signature was believed")
		}
	}
	for _, bad := range [][]byte{bytes.Replace(message.Bytes(), []byte("text"), []byte("test"), 1), []byte("text\n"), nil} {
		if text, _, err := trusted.ClearSigned(bad); err == nil {
			t.Errorf("%q was believed", text)
		}
	}
	if _, _, err := stranger.ClearSigned(message.Bytes()); err == nil {
		t.Error("a stranger's text was believed")
	}
}

// dpkg itself judges the order of versions.
func TestVersionsLikeDpkg(t *testing.T) {
	dpkg := testtool.Path(t, "dpkg")
	versions := []string{"0", "1", "1.0", "1.0-1", "1.0-1+b2", "1.0~rc1", "1.0~~", "1.0.1", "1.0a", "1.0+b", "1.10", "1.9", "2:0.1", "1:1.4.7-1+b2",
		"3.0.17-1~deb12u2", "3.0.17-1~deb12u3", "3.0.17-1", "2.36-9+deb12u10", "2.36-9+deb12u9", "1.0-1.1", "1.0-", "00001", "1.0-0"}
	for _, a := range versions {
		for _, b := range versions {
			for op, holds := range map[string]bool{"lt": CompareVersions(a, b) < 0, "eq": CompareVersions(a, b) == 0} {
				if strings.HasSuffix(a, "-") || strings.HasSuffix(b, "-") {
					continue // dpkg refuses an empty revision
				}
				if got := exec.Command(dpkg, "--compare-versions", a, op, b).Run() == nil; got != holds {
					t.Errorf("dpkg says %s %s %s is %v", a, op, b, got)
				}
			}
		}
	}
}

func TestClosure(t *testing.T) {
	index := `Package: a
Version: 1
Filename: pool/a.deb
Size: 1
SHA256: ` + strings.Repeat("a", 64) + `
Depends: b (>= 1) | c, virtual [amd64], self:any
Pre-Depends: installer

Package: self
Version: 1
Filename: pool/self.deb
Size: 1
SHA256: ` + strings.Repeat("b", 64) + `
Depends: a
Description: text
 Depends: nothing

Package: c
Version: 1
Filename: pool/c.deb
Size: 1
SHA256: ` + strings.Repeat("c", 64) + `
Provides: other, virtual (= 1)

Package: installer
Version: 1
Filename: pool/i.deb
Size: 1
SHA256: ` + strings.Repeat("d", 64) + `
Depends: absent
`
	suite := Suites("12", "20261120T000000Z")[0]
	packages, err := suite.ParsePackages(strings.NewReader(index))
	if err != nil {
		t.Fatal(err)
	}
	found, err := NewArchive(packages).Closure([]string{"a"}, []string{"installer"})
	var names []string
	for _, p := range found {
		names = append(names, p.Name)
	}
	if err != nil || !slices.Equal(names, []string{"a", "c", "self"}) {
		t.Errorf("%q, %v", names, err)
	}
	if want := "https://snapshot.debian.org/archive/debian/20261120T000000Z/pool/a.deb"; found[0].URL != want {
		t.Errorf("%s", found[0].URL)
	}
	if _, err := NewArchive(packages).Closure([]string{"a"}, nil); err == nil || err.Error() != "the archive has none of absent, which installer needs" {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"Package: a\n", "Package: a\nVersion: 1\nFilename: ../x\nSize: 1\nSHA256: " + strings.Repeat("a", 64), "Package: a\nVersion: 1\nFilename: x\nSize: 1\nSHA256: 00"} {
		if p, err := suite.ParsePackages(strings.NewReader(bad)); err == nil {
			t.Errorf("%q: %v", bad, p)
		}
	}
}

func TestRelease(t *testing.T) {
	suites := Suites("12", "20261120T000000Z")
	sum := strings.Repeat("a", 64)
	text := "Codename: bookworm-security\nMD5Sum:\n 00 5 main/binary-amd64/Packages.xz\nSHA256:\n " + sum + " 7 main/binary-amd64/Packages.xz\n"
	size, d, err := suites[1].ParseRelease([]byte(text), "amd64")
	if err != nil || size != 7 || d != cache.Digest("sha256:"+sum) {
		t.Errorf("%d %s %v", size, d, err)
	}
	// A release of another suite, signed by the same key, is not this one.
	if _, _, err := suites[0].ParseRelease([]byte(text), "amd64"); err == nil || !strings.Contains(err.Error(), `it is of "bookworm-security", not of bookworm`) {
		t.Errorf("%v", err)
	}
	if _, _, err := suites[1].ParseRelease([]byte(text), "arm64"); err == nil {
		t.Error("an index of no architecture")
	}
}
