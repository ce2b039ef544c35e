package lab

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// A role's count is raised where it stands, in both spellings of YAML, and nothing else.
func TestRaiseCount(t *testing.T) {
	const file = "roles:\n  master:\n    count: 3\n    nodes: []\n  worker: {count: 5, reserve: 2}\n"
	for role, want := range map[string]string{
		"master": strings.Replace(file, "count: 3", "count: 5", 1),
		"worker": strings.Replace(file, "count: 5", "count: 7", 1),
	} {
		if got, err := raiseCount([]byte(file), role, 2); err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s", role, err, got)
		}
	}
	if _, err := raiseCount([]byte(file), "proxy", 1); err == nil {
		t.Error("a role that is not there was raised")
	}
	for _, topology := range FaultTopologies() {
		if _, err := raiseCount([]byte(topology.Cluster), "master", 2); err != nil {
			t.Errorf("%s: %v", topology.Name, err)
		}
	}
}

// A flag is put into a manifest in the spelling of those that are there.
func TestWithFlag(t *testing.T) {
	for manifest, want := range map[string]string{
		"command:\n- a\n- --b-c=1\n":       "command:\n- a\n- --b-d=2\n- --b-c=1\n",
		"command:\n  - \"--b-c=1\"\n  - x": "command:\n  - \"--b-d=2\"\n  - \"--b-c=1\"\n  - x",
	} {
		if got, err := withFlag(manifest, "--b-", "--b-d=2"); err != nil || got != want {
			t.Errorf("%v\n%s", err, got)
		}
	}
	if _, err := withFlag("command: []", "--b-", "--b-d=2"); err == nil {
		t.Error("there was no place for it")
	}
}

// What is spoiled in a log is the middle of it: a record, or the length of one.
func TestSpoiledLogs(t *testing.T) {
	var segment []byte
	for range 40 {
		segment = binary.LittleEndian.AppendUint64(segment, 0x83<<56|21)
		segment = append(segment, bytes.Repeat([]byte{7}, 24)...)
	}
	segment = append(segment, make([]byte, 4096)...)
	if all := records(segment); len(all) != 40 || all[1] != 32 {
		t.Fatalf("records begin at %v", all)
	}
	for name, spoil := range map[string]func([]byte) (int, error){"a record": flipRecord, "a length": flipLength} {
		changed := bytes.Clone(segment)
		at, err := spoil(changed)
		if err != nil || at < 20*32 || at > 21*32 || changed[at] == segment[at] {
			t.Errorf("%s: at %d, %v", name, at, err)
		}
		if length := at%32 < 8; length != (name == "a length") {
			t.Errorf("%s: changed at %d of its record", name, at%32)
		}
		if _, err := spoil(segment[:64]); err == nil {
			t.Errorf("%s: a log that is too short was spoiled", name)
		}
	}
}

// The heads of a database stay, so that it opens; what lies behind them does not.
func TestOverwrittenPages(t *testing.T) {
	db := bytes.Repeat([]byte{1}, 10*4096+5)
	at, err := overwritePages(db)
	if err != nil || at != 2*4096 || db[at-1] != 1 || bytes.IndexByte(db[at:10*4096], 1) >= 0 {
		t.Errorf("at %d, %v", at, err)
	}
	if _, err := overwritePages(db[:4096]); err == nil {
		t.Error("a database that is too small was spoiled")
	}
}
