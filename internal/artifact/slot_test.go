package artifact

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func sampleSlot() Slot {
	return Slot{
		Node:  "worker-1",
		Match: []string{"worker-1", "worker-1.nostromo.internal", "mac:52:54:00:12:34:56"},
		Files: []File{
			{Path: "/etc/imgforge/node.json", Mode: 0o600, Contents: []byte("{\"node\": \"worker-1\"}\n"), Secret: true, Node: true},
			{Path: "/etc/motd", Mode: 0o644, Contents: nil, Secret: true, Node: true},
			{Path: "/var/lib/x", Mode: 0o640, User: "etcd", Group: "etcd", Contents: []byte{0, '\n', 0xff}, Secret: true, Node: true},
		},
	}
}

func TestSlotRoundTrip(t *testing.T) {
	want := sampleSlot()
	data, err := EncodeSlot(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeSlot(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Files[1].Contents) == 0 {
		got.Files[1].Contents = nil
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v\nwant %+v", got, want)
	}
}

// The encoding is on nodes for years: its text must not change by accident.
func TestSlotEncodingIsPinned(t *testing.T) {
	data, err := EncodeSlot(Slot{Node: "a", Match: []string{"a"}, Files: []File{{Path: "/x", Contents: []byte("hello\n")}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = "imgforge-slot-v1\n" + `{"node":"a","match":["a"],"files":[{"path":"/x","mode":420,"size":6}]}` + "\nhello\n"
	if string(data) != want {
		t.Errorf("encoded %q\nwant %q", data, want)
	}
}

func TestEncodeSlotRefuses(t *testing.T) {
	file := func(path string) Slot { return Slot{Node: "a", Files: []File{{Path: path}}} }
	tests := map[string]struct {
		slot Slot
		want string
	}{
		"no node":         {Slot{}, "node name"},
		"node with slash": {Slot{Node: "../a"}, "node name"},
		"relative path":   {file("etc/x"), "absolute and clean"},
		"path with ..":    {file("/etc/../x"), "absolute and clean"},
		"root":            {file("/"), "absolute and clean"},
		"line feed":       {file("/a\nb"), "absolute and clean"},
		"not UTF-8":       {file("/a\xff"), "UTF-8"},
		"twice":           {Slot{Node: "a", Files: []File{{Path: "/x"}, {Path: "/x"}}}, "there twice"},
		"setuid":          {Slot{Node: "a", Files: []File{{Path: "/x", Mode: 0o4755}}}, "permission bits"},
		"owner":           {Slot{Node: "a", Files: []File{{Path: "/x", User: "a b"}}}, "white space"},
		"empty match":     {Slot{Node: "a", Match: []string{""}}, "match"},
		"too large":       {Slot{Node: "a", Files: []File{{Path: "/x", Contents: make([]byte, MaxSlotBytes+1)}}}, "more than"},
		"too many files":  {Slot{Node: "a", Files: make([]File, maxSlotFiles+1)}, "more than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := EncodeSlot(tt.slot); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestDecodeSlotRefuses(t *testing.T) {
	good, err := EncodeSlot(sampleSlot())
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		data, want string
	}{
		"empty":         {"", "does not begin"},
		"other version": {strings.Replace(string(good), "v1", "v2", 1), "does not begin"},
		"no header":     {slotMagic + "{", "cut short"},
		"bad JSON":      {slotMagic + "{]\n", "header"},
		"unknown key":   {slotMagic + `{"node":"a","extra":1}` + "\n", "unknown field"},
		"two values":    {slotMagic + `{"node":"a"} {}` + "\n", "follows"},
		"other case":    {slotMagic + `{"Node":"a"}` + "\n", "canonical"},
		"spaces":        {slotMagic + `{"node": "a"}` + "\n", "canonical"},
		"cut short":     {string(good[:len(good)-1]), "cut short"},
		"trailing":      {string(good) + "x", "follow"},
		"negative size": {slotMagic + `{"node":"a","files":[{"path":"/x","mode":420,"size":-1}]}` + "\n", "cut short"},
		"climbing path": {slotMagic + `{"node":"a","files":[{"path":"/../x","mode":420,"size":0}]}` + "\n", "absolute"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodeSlot([]byte(tt.data)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

func TestSealIsDeterministicAndOpens(t *testing.T) {
	key := [32]byte{1, 2, 3}
	a, err := SealSlot(sampleSlot(), key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SealSlot(sampleSlot(), key)
	if err != nil || !bytes.Equal(a, b) {
		t.Fatalf("two seals of one slot differ (%v)", err)
	}
	got, err := OpenSlot(a, key)
	if err != nil {
		t.Fatal(err)
	}
	one, _ := EncodeSlot(got)
	two, _ := EncodeSlot(sampleSlot())
	if !bytes.Equal(one, two) {
		t.Error("the opened slot is not the sealed one")
	}
	node, match, sealed, err := SlotHeader(a)
	if err != nil || node != "worker-1" || !sealed || len(match) != 3 {
		t.Errorf("header %q %v %v %v", node, match, sealed, err)
	}
}

// A slot that differs in one byte must not share key stream with the other:
// equal bytes after the header would give the difference away.
func TestSealOfOtherContentsSharesNothing(t *testing.T) {
	key := [32]byte{1}
	one, two := sampleSlot(), sampleSlot()
	two.Files[0].Contents = bytes.ToUpper(two.Files[0].Contents)
	a, err := SealSlot(one, key)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SealSlot(two, key)
	if err != nil {
		t.Fatal(err)
	}
	_, ra, _ := sealedHeader(a)
	_, rb, _ := sealedHeader(b)
	if bytes.Equal(ra[:tagSize], rb[:tagSize]) || bytes.Equal(ra[tagSize:tagSize+16], rb[tagSize:tagSize+16]) {
		t.Error("two plaintexts share a tag or a cipher block")
	}
}

func TestOpenSlotRefuses(t *testing.T) {
	key := [32]byte{1}
	good, err := SealSlot(sampleSlot(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSlot(good, [32]byte{2}); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another key: %v", err)
	}
	renamed := bytes.Replace(good, []byte(`"node":"worker-1"`), []byte(`"node":"worker-2"`), 1)
	if _, err := OpenSlot(renamed, key); !errors.Is(err, ErrWrongKey) {
		t.Errorf("another node's name on it: %v", err)
	}
	for i := len(sealedMagic); i < len(good); i++ {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := OpenSlot(bad, key); err == nil {
			t.Fatalf("a change of byte %d went unseen", i)
		}
	}
	for i := range good {
		if _, err := OpenSlot(good[:i], key); err == nil {
			t.Fatalf("a cut at byte %d went unseen", i)
		}
	}
	if _, err := OpenSlot(append(bytes.Clone(good), 0), key); err == nil {
		t.Error("a trailing byte went unseen")
	}
}

func TestClaimRoundTrip(t *testing.T) {
	for _, node := range []string{"a", "worker-1", "db.example.org"} {
		key := [32]byte{0: 0xfb, 31: 0xff}
		line, err := EncodeClaim(node, key)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(line, " \t\n=\"'") {
			t.Errorf("%q is not one word of a kernel command line", line)
		}
		gotNode, gotKey, err := ParseClaim(" " + line + "\r\n")
		if err != nil || gotNode != node || gotKey != key {
			t.Errorf("parsed %q %v, want %q", gotNode, err, node)
		}
	}
}

func TestParseClaimTellsWhatIsWrong(t *testing.T) {
	line, err := EncodeClaim("worker-1", [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	last := len(line) - 1
	tests := map[string]struct{ line, want string }{
		"empty":         {"", "does not begin"},
		"other text":    {"ssh-ed25519 AAAA", "does not begin"},
		"node only":     {"imgforge-claim-v1.worker-1", "missing"},
		"cut short":     {line[:last-3], "cut short"},
		"foreign":       {line[:last] + "!", "foreign character"},
		"one character": {strings.Replace(line, "AAAA", "AABA", 1), "checksum"},
		"another node":  {strings.Replace(line, "worker-1", "worker-2", 1), "checksum"},
		"bad node":      {strings.Replace(line, "worker-1", "Worker_1", 1), "node name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, key, err := ParseClaim(tt.line)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "BwAAAA") {
				t.Errorf("the error repeats the key: %v", err)
			}
			if key != [32]byte{} {
				t.Error("a refused line still gives a key")
			}
		})
	}
}

func FuzzDecodeSlot(f *testing.F) {
	good, err := EncodeSlot(sampleSlot())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(slotMagic + `{"node":"a"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeSlot(data)
		if err != nil {
			return
		}
		again, err := EncodeSlot(s)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%q decodes but does not encode to itself (%v)", data, err)
		}
	})
}

func FuzzParseClaim(f *testing.F) {
	f.Add("imgforge-claim-v1.a.AAAA")
	f.Fuzz(func(t *testing.T, line string) {
		node, key, err := ParseClaim(line)
		if err != nil {
			return
		}
		if again, err := EncodeClaim(node, key); err != nil || again != strings.TrimSpace(line) {
			t.Errorf("%q parses but encodes to %q (%v)", line, again, err)
		}
	})
}
