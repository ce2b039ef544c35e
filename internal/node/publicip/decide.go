package publicip

import "slices"

// view is all that is known of the address before something is done about it.
type view struct {
	Self    string   // this node
	Proxies []string // that may hold it, the one that wins a tie of VRRP first
	State   state
	// Claimed tells that this node became master, or its helper started, and has
	// neither attached the address since nor seen it at itself.
	Claimed bool
	Mine    bool   // the provider has it at this server
	Holder  string // name of the other server that has it; empty: none has
	Loose   bool   // no server has it
	Stale   bool   // it has been here for some time although this node is not master
}

// action is what to do next.
type action int

// The things to do.
const (
	rest    action = iota // all is as it should be, or another node's business
	take                  // attach it to this server
	release               // detach it, so that a master who would leave it to a node before it takes it
	yield                 // this node is master and leaves it where it is
	leave                 // a server that is none of the proxies has it
)

// decide settles who has the address.
//
// VRRP alone says who is to have it: who becomes master takes it, wherever it is.
// After that a master takes it only from nobody or from a proxy that comes behind it
// in VRRP's own order. So when two proxies have lost one another, and both are
// master, the first in that order has the address after at most two moves, and it is
// that one which stays master when they meet again. What another server got by
// hand is not taken back.
func decide(v view) action {
	if v.State != master {
		if v.Mine && v.Stale && len(v.Proxies) > 1 {
			return release
		}
		return rest
	}
	switch {
	case v.Mine:
		return rest
	case v.Claimed, v.Loose:
		return take
	}
	self, other := slices.Index(v.Proxies, v.Self), slices.Index(v.Proxies, v.Holder)
	switch {
	case other < 0:
		return leave
	case self < other:
		return take
	}
	return yield
}
