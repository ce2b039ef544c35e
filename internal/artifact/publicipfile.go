package artifact

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// PublicIPPath is a [PublicIPFile], 0600, on proxies that move a public address.
const PublicIPPath = "/etc/imgforge/public-ip.json"

// PublicIPFile is what a proxy needs to attach the role's public address to itself.
type PublicIPFile struct {
	Provider string `json:"provider"` // scaleway
	Zone     string `json:"zone"`     // of the address and of all proxies
	Address  string `json:"address"`
	// Proxies are the nodes that may hold it, the one that wins a tie of VRRP first.
	Proxies []string `json:"proxies"`
	// Key is the secret key to the provider's API.
	Key string `json:"key"`
}

// EncodePublicIPFile is the text of the file.
func EncodePublicIPFile(f PublicIPFile) ([]byte, error) {
	if err := checkPublicIPFile(f); err != nil {
		return nil, fmt.Errorf("encode public-ip.json: %w", err)
	}
	return indentJSON(f)
}

// ParsePublicIPFile reads the file strictly. No error shows the key.
func ParsePublicIPFile(data []byte) (PublicIPFile, error) {
	var f PublicIPFile
	if err := strictJSON(data, &f); err != nil {
		return PublicIPFile{}, fmt.Errorf("parse public-ip.json: %w", err)
	}
	if err := checkPublicIPFile(f); err != nil {
		return PublicIPFile{}, fmt.Errorf("parse public-ip.json: %w", err)
	}
	return f, nil
}

func checkPublicIPFile(f PublicIPFile) error {
	if f.Provider != "scaleway" {
		return fmt.Errorf("addresses of provider %q cannot be moved", f.Provider)
	}
	if _, err := netip.ParseAddr(f.Address); err != nil {
		return err
	}
	if f.Zone == "" || f.Key == "" || len(f.Proxies) == 0 || slices.Contains(f.Proxies, "") {
		return errors.New("zone, key and proxies must be there")
	}
	return nil
}
