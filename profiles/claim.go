package profiles

// sharedClaim adds the unit that gives the node its identity. In a role payload
// it picks the node's slot; in a payload of one node it checks node.json. Units
// that need a file of the node alone require it.
func sharedClaim(s *shared) error {
	return s.butane("common/claim", map[string]string{"Claim": unitClaim, "Firewall": unitFirewall})
}
