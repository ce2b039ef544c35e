package node

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// vrrpDir holds one file per VRRP instance, for the status of the node.
const vrrpDir = "/run/imgforge/vrrp"

// VRRP is the last state that keepalived told of an instance or group.
type VRRP struct {
	Type     string `json:"type"` // INSTANCE | GROUP
	Name     string `json:"name"`
	State    string `json:"state"` // MASTER | BACKUP | FAULT | STOP | ...
	Priority int    `json:"priority,omitempty"`
}

// Notify records what keepalived tells its notify hook: TYPE NAME STATE [PRIORITY].
// It does nothing else: the address itself is keepalived's business, and where a
// provider has to move it too, the running helper sees what is recorded here.
func Notify(root string, args []string) error {
	v, err := parseNotify(args)
	if err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return bootcode.Fail(bootcode.NotifyUnrecorded, "%v", err)
	}
	file := artifact.File{Path: filepath.Join(vrrpDir, v.Name+".json"), Contents: append(text, '\n')}
	if err := (host{root: root}).place([]artifact.File{file}); err != nil {
		return bootcode.Fail(bootcode.NotifyUnrecorded, "%v", err)
	}
	return nil
}

func parseNotify(args []string) (VRRP, error) {
	if len(args) < 3 || len(args) > 4 {
		return VRRP{}, bootcode.Fail(bootcode.NotifyUnknown, "got %d words, want TYPE NAME STATE [PRIORITY]: %q", len(args), args)
	}
	v := VRRP{Type: args[0], Name: args[1], State: args[2]}
	if !slices.Contains([]string{"INSTANCE", "GROUP"}, v.Type) {
		return VRRP{}, bootcode.Fail(bootcode.NotifyUnknown, "the type %q is neither INSTANCE nor GROUP", v.Type)
	}
	if !word(v.Name, "-_") {
		return VRRP{}, bootcode.Fail(bootcode.NotifyUnknown, "the name %q is more than letters, digits, - and _", v.Name)
	}
	if !word(v.State, "_") {
		return VRRP{}, bootcode.Fail(bootcode.NotifyUnknown, "the state %q is more than letters and _", v.State)
	}
	if len(args) == 4 {
		priority, err := strconv.Atoi(args[3])
		if err != nil || priority < 0 || priority > 255 {
			return VRRP{}, bootcode.Fail(bootcode.NotifyUnknown, "the priority %q is not a number from 0 to 255", args[3])
		}
		v.Priority = priority
	}
	return v, nil
}

// word tells whether s is one to 64 letters, digits and the others given.
func word(s, others string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || slices.Contains([]rune(others), r)) {
			return false
		}
	}
	return true
}
