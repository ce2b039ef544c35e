//go:build !linux

package watch

import (
	"net"
	"net/netip"
)

// whoHas needs raw packets of Linux, which every node runs.
func whoHas(net.Interface, netip.Addr) string { return "" }
