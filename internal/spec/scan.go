package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// maxBytes is far above any cluster file: 5,000 listed nodes take about 600 KB.
const maxBytes = 1 << 20

// scan refuses what is no text at all, with its place. It is stricter than
// YAML about line ends, so that lines are counted the same everywhere.
func scan(data []byte) (report.Problem, bool) {
	if len(data) > maxBytes {
		return at(1, 1, fmt.Sprintf("the file has %d bytes and a cluster file at most %d", len(data), maxBytes),
			"check that this is the cluster file"), false
	}
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return at(1, 1, "the file is UTF-16", "save it as UTF-8"), false
	}
	line, col := 1, 1
	for i := 0; i < len(data); {
		c, size := utf8.DecodeRune(data[i:])
		if c == utf8.RuneError && size == 1 {
			return at(line, col, fmt.Sprintf("byte 0x%02x is not UTF-8", data[i]), "save the file as UTF-8 text"), false
		}
		if what := unprintable(c, i, data[i+size:]); what != "" {
			return at(line, col, what, "remove it"), false
		}
		i += size
		if col++; c == '\n' {
			line, col = line+1, 1
		}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return empty(), false
	}
	return report.Problem{}, true
}

// unprintable names a character that YAML forbids or that would make editors
// and parsers count lines differently.
func unprintable(c rune, offset int, rest []byte) string {
	switch {
	case c == '\t', c == '\n', c >= 0x20 && c <= 0x7e:
		return ""
	case c == '\r' && len(rest) > 0 && rest[0] == '\n':
		return ""
	case c == '\r':
		return "a carriage return stands without a line feed"
	case c == 0:
		return "a NUL byte is not text"
	case c == 0xfeff && offset == 0:
		return "" // a byte order mark
	case c < 0xa0, c == 0x2028, c == 0x2029, c == 0xfeff, c >= 0xfffe && c <= 0xffff:
		return fmt.Sprintf("character U+%04X cannot stand in a cluster file", c)
	}
	return ""
}

func empty() report.Problem {
	return at(1, 1, "the file is empty", "start from `imgforge init`")
}

// load parses exactly one YAML document and returns its root.
func load(data []byte, lines []string) (*yaml.Node, report.Problem, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := decode(dec, &doc); {
	case errors.Is(err, io.EOF):
		return nil, empty(), false
	case err != nil:
		return nil, syntax(err, lines), false
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, empty(), false
	}
	switch err := decode(dec, &second); {
	case errors.Is(err, io.EOF):
		return root, report.Problem{}, true
	case err != nil:
		return nil, syntax(err, lines), false
	}
	return nil, at(clamp(second.Line, 1, len(lines)), max(second.Column, 1), "a second document starts here",
		"keep one cluster per file and remove everything from this line on"), false
}

// decode keeps a defect of the YAML library from ending the program: the file
// is then refused like any other that cannot be read.
func decode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("yaml: the parser gave up: %v", p)
		}
	}()
	if err := dec.Decode(n); err != nil {
		return err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
		return errors.New("yaml: not a document")
	}
	return nil
}

// yamlErrorForm is how yaml.v3 words its errors: "yaml: line 3: did not find ...".
const yamlErrorForm = `^yaml: (?:line (\d+): )?(.*)$`

// syntax turns a YAML error into a problem at the first character of a line.
func syntax(err error, lines []string) report.Problem {
	text, line := err.Error(), 1
	if m := regexp.MustCompile(yamlErrorForm).FindStringSubmatch(text); m != nil {
		text = m[2]
		if n, err := strconv.Atoi(m[1]); err == nil {
			line = clamp(n, 1, len(lines))
		}
	}
	line = culprit(lines, line)
	content := lines[line-1]
	indent := len(content) - len(strings.TrimLeft(content, " "))
	fix := "check the indentation, the colons and the quotes of this line and the one above"
	switch {
	case strings.HasPrefix(content[indent:], "\t"):
		fix = "indent with spaces, not with tabs"
	case strings.Contains(text, "max depth"):
		text, fix = "the brackets nest too deep", "check the brackets: a cluster file needs few"
	case strings.Contains(text, "unknown anchor"):
		fix = "write the value out, or set the anchor with & before"
	}
	if what, _ := secretIn(text); what != "" {
		text = "a name is " + what
	}
	return at(line, indent+1, "this is not YAML: "+text, fix)
}

// maxSearch bounds the bytes that the search for a culprit may parse.
const maxSearch = 1 << 20

// culprit is the line below the longest part of the file that is YAML. The
// library names the line where the mapping around a mistake begins, often
// far above; its word counts only where the search would take too long.
func culprit(lines []string, fallback int) int {
	spent := 0
	for n := len(lines) - 1; n > 0; n-- {
		part := strings.Join(lines[:n], "\n")
		if spent += len(part); spent > maxSearch {
			return fallback
		}
		var doc yaml.Node
		if err := decode(yaml.NewDecoder(strings.NewReader(part)), &doc); err == nil || errors.Is(err, io.EOF) {
			return n + 1
		}
	}
	return 1
}

func at(line, col int, message, fix string) report.Problem {
	return report.Problem{Line: line, Col: col, Message: message, Fix: fix}
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }
