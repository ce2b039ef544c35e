package profiles

import (
	"slices"

	"github.com/imgforge/imgforge/internal/payload"
)

// sharedClaim adds the units of the node helper: the claim, which gives the node its
// identity, the steps that the kubelet waits for, and what runs for as long as the
// node does. In a role payload the claim picks the node's slot; in a payload of one
// node it checks node.json. Units that need a file of the node alone require it.
func sharedClaim(s *shared) error {
	if err := s.butane("common/claim", map[string]string{"Claim": unitClaim, "Firewall": unitFirewall}); err != nil {
		return err
	}
	if err := s.step(unitTime, "Wait for a clock that certificates can be used with", "time"); err != nil {
		return err
	}
	if s.isMaster() {
		// Only the disk tells whether etcd may start, so it is mounted first.
		if err := s.step(unitGuard, "Keep etcd from starting without its data", "etcd guard --keep-trying", s.diskUnits(etcdDataDir)...); err != nil {
			return err
		}
	}
	text, err := render("common/node.service", map[string]string{"Claim": unitClaim})
	if err != nil {
		return err
	}
	s.unit(payload.Unit{Name: unitNode, Enabled: new(true), Contents: text, Dropins: s.beyondProxy()})
	return nil
}

// step adds a unit that runs a command of the helper to its end after the claim. It
// is started by whoever needs it.
func (s *shared) step(name, description, command string, after ...string) error {
	text, err := render("common/step.service", map[string]any{
		"Description": description, "Command": command, "After": slices.Concat([]string{unitClaim}, after),
	})
	if err != nil {
		return err
	}
	s.unit(payload.Unit{Name: name, Contents: text})
	return nil
}
