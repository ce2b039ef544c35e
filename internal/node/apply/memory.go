package apply

import (
	"encoding/json"
	"os"
	"path/filepath"
)

// memoryPath is what this node remembers of the add-ons: the content of each that it
// last saw in the cluster as its payload has it. When the cluster has another since,
// another master has moved on, and this one must not turn back, after a reboot
// either. A payload with new contents is not what it remembers, and is applied.
const memoryPath = "/var/lib/imgforge/addons.json"

// remember reads which add-ons were settled before this process began. Without a
// memory they all count as new, as on a new node.
func (a *applier) remember() {
	var hashes map[string]string
	data, err := os.ReadFile(filepath.Join(a.o.Root, memoryPath))
	if err != nil || json.Unmarshal(data, &hashes) != nil {
		return
	}
	for _, want := range a.wanted {
		a.settled[want.Name] = hashes[want.Name] == want.hash
	}
}

// settle notes that an add-on in the cluster is as this node wants it. A memory that
// cannot be written costs nothing but that the add-on may be applied once more.
func (a *applier) settle(name string) {
	if a.settled[name] {
		return
	}
	a.settled[name] = true
	hashes := map[string]string{}
	for _, want := range a.wanted {
		if a.settled[want.Name] {
			hashes[want.Name] = want.hash
		}
	}
	path := filepath.Join(a.o.Root, memoryPath)
	if os.MkdirAll(filepath.Dir(path), 0o755) != nil || os.WriteFile(path+".new", body(hashes), 0o644) != nil {
		return
	}
	_ = os.Rename(path+".new", path)
}
