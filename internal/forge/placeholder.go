package forge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/plan"
)

// placeholders stand in for a store where only shape and size of a payload
// matter. They derive from names, so they are the same in every run, and as long
// and as hard to compress as what a store makes. Nothing that holds them is written.
type placeholders struct {
	keyBytes, keyDrawn   int // DER of a private key, and how much of it is random
	certBytes, certDrawn int // the same of a certificate with no name
	names                map[string]string
	kinds                map[string]string
}

// Sizes of what a store makes, in bytes of DER, as measured. Those of RSA follow
// from the bits: a certificate holds two numbers of their size, a key four and a half.
const (
	ecdsaKeyBytes, ecdsaKeyDrawn   = 121, 96
	ecdsaCertBytes, ecdsaCertDrawn = 430, 176 // serial, public key, key identifier, signature
	ecdsaPublicBytes               = 91
	rsaBits                        = 2048 // of tinc's keys, and of service accounts beside ECDSA
	userSecretBytes                = 24
)

func rsaCertBytes(bits int) int   { return 310 + 2*bits/8 }
func rsaKeyBytes(bits int) int    { return 40 + 9*bits/16 }
func rsaPublicBytes(bits int) int { return 14 + bits/8 }

// placeholdersFor knows the lengths that a plan and an algorithm bring about.
func placeholdersFor(p *plan.Plan, algorithm string) placeholders {
	s := placeholders{keyBytes: ecdsaKeyBytes, keyDrawn: ecdsaKeyDrawn, certBytes: ecdsaCertBytes, certDrawn: ecdsaCertDrawn,
		names: map[string]string{}, kinds: map[string]string{}}
	if text, isRSA := strings.CutPrefix(algorithm, "rsa-"); isRSA {
		if bits, err := strconv.Atoi(text); err == nil {
			s.keyBytes, s.keyDrawn = rsaKeyBytes(bits), rsaKeyBytes(bits)
			s.certBytes, s.certDrawn = rsaCertBytes(bits), 40+2*bits/8
		}
	}
	for _, c := range p.Certificates {
		s.names[c.ID] = strings.Join(slices.Concat([]string{c.CN}, c.O, c.DNS, c.IPs), "..")
	}
	for _, k := range p.Keys {
		s.kinds[k.ID] = k.Kind
	}
	return s
}

func (s placeholders) Authority(name string) ([]byte, error) {
	return s.certificate("authority "+name, ""), nil
}

func (s placeholders) AuthorityKey(name string) ([]byte, error) {
	return armour("EC PRIVATE KEY", "authority key "+name, s.keyBytes, s.keyDrawn), nil
}

func (s placeholders) Certificate(id string) ([]byte, error) {
	return s.certificate(id, s.names[id]), nil
}

func (s placeholders) PrivateKey(id string) ([]byte, error) {
	return armour("EC PRIVATE KEY", "key "+id, s.keyBytes, s.keyDrawn), nil
}

func (s placeholders) Public(id string) ([]byte, error) {
	switch s.kinds[id] {
	case "tinc-rsa":
		return armour("RSA PUBLIC KEY", "public "+id, rsaPublicBytes(rsaBits), rsaPublicBytes(rsaBits)), nil
	case "rsa":
		return armour("PUBLIC KEY", "public "+id, rsaPublicBytes(rsaBits)+24, rsaPublicBytes(rsaBits)), nil
	case "ecdsa":
		return armour("PUBLIC KEY", "public "+id, ecdsaPublicBytes, 64), nil
	}
	return encoded("public "+id, 32), nil
}

func (s placeholders) Recipients() []string {
	return []string{"age1" + strings.ToLower(hex.EncodeToString(noise("recipient", 29)))}
}

func (s placeholders) Secret(id string) ([]byte, error) {
	switch s.kinds[id] {
	case "tinc-rsa":
		return armour("RSA PRIVATE KEY", id, rsaKeyBytes(rsaBits), rsaKeyBytes(rsaBits)), nil
	case "tinc-ed25519":
		return armour("ED25519 PRIVATE KEY", id, 96, 96), nil
	case "rsa":
		return armour("RSA PRIVATE KEY", id, max(s.keyBytes, rsaKeyBytes(rsaBits)), max(s.keyDrawn, rsaKeyBytes(rsaBits))), nil
	case "ecdsa":
		return armour("EC PRIVATE KEY", id, ecdsaKeyBytes, ecdsaKeyDrawn), nil
	case "user":
		return encoded(id, userSecretBytes), nil
	}
	return encoded(id, 32), nil
}

// certificate is random where a certificate is, between parts that many share.
func (s placeholders) certificate(id, names string) []byte {
	shared := noise("certificate", s.certBytes-s.certDrawn)
	der := slices.Concat(noise(id, 20), shared[:len(shared)/2], noise("public "+id, (s.certDrawn-20)/2), shared[len(shared)/2:],
		[]byte(names), noise("signature "+id, (s.certDrawn-20)/2))
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// armour is so many bytes of which the last ones are random.
func armour(kind, name string, size, drawn int) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: slices.Concat(noise(kind, size-drawn), noise(name, drawn))})
}

func encoded(name string, size int) []byte {
	return []byte(base64.StdEncoding.EncodeToString(noise(name, size)))
}

// noise looks random and follows from a name.
func noise(name string, size int) []byte {
	out := make([]byte, 0, size+sha256.Size)
	for i := uint32(0); len(out) < size; i++ {
		sum := sha256.Sum256(append(binary.BigEndian.AppendUint32(nil, i), "placeholder "+name...))
		out = append(out, sum[:]...)
	}
	return out[:size]
}
