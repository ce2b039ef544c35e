package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// ButaneVariant is the butane variant and version in which a family's payloads,
// and the author's own snippets, are written. The cloud-init families use
// flatcar's: it adds nothing of CoreOS to a configuration.
func ButaneVariant(family string) (variant, version string) {
	switch family {
	case "fcos":
		return "fcos", "1.6.0"
	case "imgforge":
		return "flatcar", "1.0.0"
	}
	return "flatcar", "1.1.0"
}

// extra checks that snippets are Butane mappings of the right variant, and hold
// no login. What they say otherwise is judged by Butane itself.
func (k *check) extra() {
	for _, s := range []struct{ path, text string }{
		{"extra.all", k.Extra.All}, {"extra.master", k.Extra.Master}, {"extra.proxy", k.Extra.Proxy}, {"extra.worker", k.Extra.Worker},
	} {
		if s.text != "" {
			k.snippet(s.path, s.text)
		}
	}
	if k.Extra.Proxy != "" && k.none("proxy") {
		k.warn("extra.proxy", "there are no proxies", "remove it")
	}
	if k.Extra.Worker != "" && k.none("worker") {
		k.warn("extra.worker", "there are no workers", "remove it")
	}
}

func (k *check) snippet(path, text string) {
	lines := strings.Split(text, "\n")
	dec := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	var doc, second yaml.Node
	if err := decode(dec, &doc); err != nil {
		if errors.Is(err, io.EOF) {
			k.err(path, "holds no Butane", "write a mapping such as storage: {...}, or remove the key")
			return
		}
		p := syntax(err, lines)
		k.within(path, p.Line, p.Col, p.Message, p.Fix)
		return
	}
	if err := decode(dec, &second); err == nil {
		k.within(path, second.Line, 1, "a second document starts here", "keep one per snippet")
		return
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		k.within(path, root.Line, root.Column, "is not a mapping", "write Butane, as in storage: {files: [...]}")
		return
	}
	k.variant(path, root)
	k.logins(path, root, 0)
}

// within reports a problem at a line and column of a snippet's text.
func (k *check) within(path string, line, col int, message, fix string) {
	p := report.Problem{Path: path, Message: message, Fix: fix}
	pl := k.src.places[path]
	if first := k.src.Block(path); pl.style&yaml.LiteralStyle != 0 {
		p.Line = clamp(first+line-1, 1, len(k.src.lines))
		p.Col = k.src.indent(first) + max(col, 1) - 1
	}
	k.problems = append(k.problems, p)
}

// variant lets a snippet leave its variant and version to imgforge, and
// refuses others than those it will be merged into.
func (k *check) variant(path string, root *yaml.Node) {
	variant, version := ButaneVariant(k.OS.Family)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		want := map[string]string{"variant": variant, "version": version}[key.Value]
		if want != "" && value.Value != want {
			k.within(path, value.Line, value.Column, fmt.Sprintf("%s %s does not fit os.family %s", key.Value, quote(value.Value), k.OS.Family),
				"write "+key.Value+": "+want+", or leave it out")
		}
	}
}

// logins finds passwords and keys to log in with, at any depth.
func (k *check) logins(path string, n *yaml.Node, depth int) {
	if depth > maxDepth {
		k.within(path, n.Line, n.Column, "nested deeper than "+strconv.Itoa(maxDepth)+" levels", "check the brackets and the indentation")
		return
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			k.login(path, n.Content[i-1], child)
		}
		k.logins(path, child, depth+1)
	}
}

func (k *check) login(path string, key, value *yaml.Node) {
	switch {
	case key.Value == "ssh_authorized_keys" || key.Value == "ssh_authorized_keys_local":
		k.within(path, key.Line, key.Column, "nodes run no SSH server, so the key opens nothing", "remove it")
	case value.Kind != yaml.ScalarNode:
	case key.Value == "password_hash" || secretKey(key.Value) && !strings.HasPrefix(value.Value, "/"):
		k.within(path, key.Line, key.Column, "a secret has no place in a cluster file", keepSecret)
	case secretLine(value.Value) > 0:
		k.within(path, value.Line, value.Column, fmt.Sprintf("line %d of this text sets a secret", secretLine(value.Value)), keepSecret)
	}
}

// secretLineForm is a setting of a file's own syntax whose name announces a
// secret, with a value that is neither a path nor a reference.
var secretLineForm = regexp.MustCompile(`(?im)^[ \t]*["']?[\w.-]*(password|passwd|passphrase|private_?key|preshared_?key|secret|token|api_?key)["']?[ \t]*[:=][ \t]*["']?([^\s"'/$%{<]\S{5,})`)

// secretLine is the line of a text, from 1, that sets a secret; 0 when none
// does. Secrets and tokens are often called by name, as image pull secrets are:
// a value of theirs counts when it has a digit, as drawn ones have.
func secretLine(s string) int {
	for _, m := range secretLineForm.FindAllStringSubmatchIndex(s, -1) {
		word, value := strings.ToLower(s[m[2]:m[3]]), s[m[4]:m[5]]
		byName := word == "secret" || word == "token" || strings.HasPrefix(word, "api")
		if !byName || strings.ContainsAny(value, "0123456789") {
			return 1 + strings.Count(s[:m[0]], "\n")
		}
	}
	return 0
}
