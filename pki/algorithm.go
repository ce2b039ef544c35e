package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
)

// DefaultAlgorithm is what authorities and leaves use unless told otherwise.
const DefaultAlgorithm = "ecdsa-256"

// serviceAccountRSABits is the size of an RSA service-account key in a store
// whose certificates are ECDSA.
const serviceAccountRSABits = 2048

// algorithm is a kind of key; zero bits means ECDSA P-256.
type algorithm struct{ rsaBits int }

func parseAlgorithm(name string) (algorithm, error) {
	switch name {
	case "ecdsa-256":
		return algorithm{}, nil
	case "rsa-2048":
		return algorithm{2048}, nil
	case "rsa-3072":
		return algorithm{3072}, nil
	case "rsa-4096":
		return algorithm{4096}, nil
	}
	return algorithm{}, fmt.Errorf("key algorithm %q is not known: write one of ecdsa-256, rsa-2048, rsa-3072, rsa-4096", name)
}

// generate makes a key. Key generation of the standard library reads the
// system's random source and no other.
func (a algorithm) generate() (crypto.Signer, error) {
	if a.rsaBits > 0 {
		return rsa.GenerateKey(rand.Reader, a.rsaBits)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// usages are the CFSSL names of a leaf's key usages besides its extended ones.
// Only RSA key exchange ever needs key encipherment.
func (a algorithm) usages() []string {
	if a.rsaBits > 0 {
		return []string{"digital signature", "key encipherment"}
	}
	return []string{"digital signature"}
}

// encodeKey writes a private key under the labels that openssl, Kubernetes and
// etcd all read; kube-apiserver refuses PKCS#8 for service-account keys.
func encodeKey(key crypto.Signer) ([]byte, error) {
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("encode EC key: %w", err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
	case *rsa.PrivateKey:
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}), nil
	}
	return nil, fmt.Errorf("encode key: type %T has no encoding here", key)
}

// encodePublic writes a public key as PKIX.
func encodePublic(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// decodeKey reads what encodeKey wrote. Its errors never hold the input.
func decodeKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("it holds no PEM block")
	}
	switch {
	case block.Type == "EC PRIVATE KEY":
		return x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "RSA PRIVATE KEY":
		return x509.ParsePKCS1PrivateKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("it holds a private key of another form than EC or RSA")
	}
	return nil, fmt.Errorf("it holds no private key")
}

// decodeCertificate reads one PEM certificate.
func decodeCertificate(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("it holds no PEM certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
