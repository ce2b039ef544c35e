package profiles

// networkParts are the concerns of a node's network and base system, in the
// order in which a reader meets them in a document.
func networkParts() []part { return nil }
