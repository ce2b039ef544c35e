package artifact

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Limits of an encoded slot. A master's own files are some 40 KiB; the limits
// keep a damaged or hostile payload from filling a node's memory.
const (
	MaxSlotBytes = 4 << 20
	maxSlotFiles = 1024
	maxSlotMatch = 64
	maxSlotHead  = 256 << 10
	maxPath      = 4095
	maxNodeName  = 253
)

// slotMagic opens an encoded slot. The format is one line of magic, one line of
// JSON, then the contents of the files one after another: readable, free of
// escaping, and as compact as the outer compression can make it.
const slotMagic = "imgforge-slot-v1\n"

// slotHead is the JSON line. Keys are in the order of the fields and the
// decoder refuses any other spelling, so that a slot has exactly one encoding.
type slotHead struct {
	Node  string     `json:"node"`
	Match []string   `json:"match,omitempty"`
	Files []slotFile `json:"files,omitempty"`
}

type slotFile struct {
	Path  string `json:"path"`
	Mode  uint32 `json:"mode"` // decimal, as in Ignition
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	Size  int    `json:"size"`
}

// EncodeSlot is the one encoding of a slot: the same slot gives the same bytes.
// The Secret and Node flags of files are not carried: everything in a slot
// belongs to one node and is handled as secret.
func EncodeSlot(s Slot) ([]byte, error) {
	if err := checkSlot(s); err != nil {
		return nil, fmt.Errorf("encode slot %q: %w", s.Node, err)
	}
	head := slotHead{Node: s.Node, Match: s.Match}
	size := 0
	for _, f := range s.Files {
		head.Files = append(head.Files, slotFile{f.Path, permission(f.Mode), f.User, f.Group, len(f.Contents)})
		size += len(f.Contents)
	}
	line, err := json.Marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode slot %q: %w", s.Node, err)
	}
	if len(line) > maxSlotHead || size > MaxSlotBytes {
		return nil, fmt.Errorf("encode slot %q: %d bytes of files are more than the %d that a slot carries", s.Node, size, MaxSlotBytes)
	}
	out := make([]byte, 0, len(slotMagic)+len(line)+1+size)
	out = append(append(append(out, slotMagic...), line...), '\n')
	for _, f := range s.Files {
		out = append(out, f.Contents...)
	}
	return out, nil
}

// DecodeSlot reads what [EncodeSlot] wrote and refuses anything else: another
// version, unknown keys, other spellings, missing or trailing bytes.
func DecodeSlot(data []byte) (Slot, error) {
	s, err := decodeSlot(data)
	if err != nil {
		return Slot{}, fmt.Errorf("decode slot: %w", err)
	}
	again, err := EncodeSlot(s)
	if err != nil {
		return Slot{}, fmt.Errorf("decode slot: %w", err)
	}
	if !bytes.Equal(again, data) {
		return Slot{}, errors.New("decode slot: the bytes are not the canonical encoding: the payload was changed after it was made")
	}
	return s, nil
}

func decodeSlot(data []byte) (Slot, error) {
	if len(data) > len(slotMagic)+maxSlotHead+1+MaxSlotBytes {
		return Slot{}, fmt.Errorf("%d bytes are more than a slot may have", len(data))
	}
	rest, ok := bytes.CutPrefix(data, []byte(slotMagic))
	if !ok {
		return Slot{}, fmt.Errorf("it does not begin with %q: made by another version, or not a slot", strings.TrimSpace(slotMagic))
	}
	line, rest, ok := bytes.Cut(rest, []byte("\n"))
	if !ok || len(line) > maxSlotHead {
		return Slot{}, errors.New("the header line is cut short")
	}
	var head slotHead
	if err := strictJSON(line, &head); err != nil {
		return Slot{}, fmt.Errorf("header: %w", err)
	}
	if len(head.Files) > maxSlotFiles {
		return Slot{}, fmt.Errorf("%d files are more than a slot may have", len(head.Files))
	}
	s := Slot{Node: head.Node, Match: head.Match}
	for _, f := range head.Files {
		if f.Size < 0 || f.Size > len(rest) {
			return Slot{}, fmt.Errorf("file %s is cut short: %d of %d bytes", f.Path, len(rest), f.Size)
		}
		s.Files = append(s.Files, File{Path: f.Path, Mode: f.Mode, User: f.User, Group: f.Group,
			Contents: bytes.Clone(rest[:f.Size]), Secret: true, Node: true})
		rest = rest[f.Size:]
	}
	if len(rest) > 0 {
		return Slot{}, fmt.Errorf("%d bytes follow the last file", len(rest))
	}
	return s, nil
}

// checkSlot holds what both directions demand of a slot.
func checkSlot(s Slot) error {
	if err := checkNodeName(s.Node); err != nil {
		return err
	}
	if len(s.Match) > maxSlotMatch || len(s.Files) > maxSlotFiles {
		return fmt.Errorf("%d matches and %d files are more than a slot may have (%d, %d)", len(s.Match), len(s.Files), maxSlotMatch, maxSlotFiles)
	}
	for _, m := range s.Match {
		if m == "" || !utf8.ValidString(m) || len(m) > maxPath || strings.ContainsFunc(m, isSpaceOrControl) {
			return fmt.Errorf("match %q is empty, too long or holds white space", m)
		}
	}
	seen := make(map[string]bool, len(s.Files))
	for _, f := range s.Files {
		switch {
		case !utf8.ValidString(f.Path + f.User + f.Group):
			return fmt.Errorf("file path %q or its owner is not UTF-8", f.Path)
		case !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || f.Path == "/" || len(f.Path) > maxPath || strings.ContainsFunc(f.Path, isControl):
			return fmt.Errorf("file path %q must be absolute and clean", f.Path)
		case seen[f.Path]:
			return fmt.Errorf("file %s is there twice", f.Path)
		case f.Mode > 0o777:
			return fmt.Errorf("file %s: mode %#o has more than permission bits", f.Path, f.Mode)
		case strings.ContainsFunc(f.User+f.Group, isSpaceOrControl):
			return fmt.Errorf("file %s: owner %q:%q holds white space", f.Path, f.User, f.Group)
		}
		seen[f.Path] = true
	}
	return nil
}

// checkNodeName accepts what is safe as a file name, a host name and one word
// of a kernel command line.
func checkNodeName(name string) error {
	ok := name != "" && len(name) <= maxNodeName && name[0] != '-' && name[0] != '.'
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.')
	}
	if !ok {
		return fmt.Errorf("node name %q must consist of a-z, 0-9, - and . and begin with a letter or digit", name)
	}
	return nil
}

// permission resolves the default of [File.Mode].
func permission(mode uint32) uint32 {
	if mode == 0 {
		return 0o644
	}
	return mode
}

func isControl(r rune) bool        { return r < ' ' || r == 0x7f }
func isSpaceOrControl(r rune) bool { return r <= ' ' || r == 0x7f }

// strictJSON decodes one JSON value with no unknown keys and nothing after it.
func strictJSON(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if len(bytes.TrimSpace(data[dec.InputOffset():])) > 0 {
		return errors.New("something follows the JSON value")
	}
	return nil
}
