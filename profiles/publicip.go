package profiles

import (
	"cmp"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// sharedPublicIP gives proxies, and no other role, what they need to move their
// address at the provider. It is a secret, so it lies in the slots.
func sharedPublicIP(s *shared) error {
	own := s.plan.Platform.Scaleway
	if s.role.Name != plan.Proxy || own == nil || own.PublicIPKeyRef == "" || !s.floats() {
		return nil
	}
	key, err := s.secrets.Secret("user/" + own.PublicIPKeyRef)
	if err != nil {
		return err
	}
	f := artifact.PublicIPFile{Provider: s.plan.Platform.Provider, Zone: s.plan.Platform.Zone, Address: s.role.PublicIP, Key: strings.TrimSpace(string(key))}
	nodes := s.plan.NodesOf(s.role.Name)
	slices.SortFunc(nodes, func(a, b plan.Node) int { return cmp.Compare(b.VRRPPriority, a.VRRPPriority) })
	for _, n := range nodes {
		f.Proxies = append(f.Proxies, n.Name)
	}
	text, err := artifact.EncodePublicIPFile(f)
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: artifact.PublicIPPath, Mode: 0o600, Contents: text, Secret: true})
	return nil
}
