package publicip

import (
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// state is what VRRP has made of this node.
type state string

// The states that matter: BACKUP, FAULT and STOP are all not master.
const (
	unknown state = ""
	master  state = "MASTER"
)

// vrrpFile is where the notify hook, which keepalived runs, leaves each change.
const vrrpFile = "/run/imgforge/vrrp/imgforge.json"

// told is the last state that keepalived told, and which telling of it that was.
func told(root string) (s state, telling string) {
	path := filepath.Join(root, vrrpFile)
	info, err := os.Stat(path)
	if err != nil {
		return unknown, ""
	}
	data, err := os.ReadFile(path)
	var v struct {
		State state `json:"state"`
	}
	if err != nil || json.Unmarshal(data, &v) != nil {
		return unknown, ""
	}
	return v.State, info.ModTime().String() // each telling is a new file
}

// held tells whether keepalived really holds the address: it runs, and the address is
// on an interface. One that was killed told nobody.
func held(root string, address netip.Addr) bool {
	return here(address) && runs(filepath.Join(root, "/proc"), "keepalived")
}

func here(address netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Unmap() == address.Unmap() {
			return true
		}
	}
	return false
}

// runs tells whether a program of that name runs. Without a proc to ask it does.
func runs(proc, name string) bool {
	files, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	if err != nil || len(files) == 0 {
		return true
	}
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.TrimSpace(string(text)) == name {
			return true
		}
	}
	return false
}
