package spec

import (
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/report"
)

// keepSecret is what to do with a secret that stands in a cluster file.
const keepSecret = "remove it, run `imgforge secret set NAME`, and refer to it by name where a field ends in Ref"

// secretForms are texts that are secrets whatever their key is called. Each
// has a fixed prefix or frame, so that no address, name or path is taken for
// one, and a part that is cheap to look for first.
var secretForms = [...]struct {
	what, part string
	form       *regexp.Regexp
}{
	{"a private key", "PRIVATE KEY", regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)},
	{"an age identity", "-", regexp.MustCompile(`(?i)AGE-SECRET-KEY-1[0-9A-Z]{8,}`)},
	{"a JSON web token", "eyJ", regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)},
	{"an AWS access key", "A", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a Scaleway access key", "SCW", regexp.MustCompile(`\bSCW[0-9A-Z]{17}\b`)},
	{"an Exoscale API key", "EXO", regexp.MustCompile(`\bEXO[0-9a-f]{24,}\b`)},
	{"a GitHub token", "gh", regexp.MustCompile(`\bgh[opsur]_[A-Za-z0-9]{20,}`)},
	{"a GitHub token", "github_pat_", regexp.MustCompile(`\bgithub_pat_[A-Za-z0-9_]{20,}`)},
	{"a GitLab token", "glpat-", regexp.MustCompile(`\bglpat-[A-Za-z0-9_-]{16,}`)},
	{"a Slack token", "xox", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9-]{10,}`)},
	{"a bootstrap token", ".", regexp.MustCompile(`(^|[\s"'=:])[a-z0-9]{6}\.[a-z0-9]{16}($|[\s"',])`)},
	{"a password hash", "$", regexp.MustCompile(`\$(1|2[aby]|5|6|y|gy|7|argon2id?)\$[^\s$]*\$?[./A-Za-z0-9$=,]{8,}`)},
	{"a password in a URL", "://", regexp.MustCompile(`\b[a-z][a-z0-9+.-]*://[^\s/:@]*:[^\s/@]+@`)},
	{"a bearer token", " ", regexp.MustCompile(`(?i)\b(bearer|basic) [A-Za-z0-9+/._~-]{16,}=*`)},
}

// secretIn names the secret that a text holds, and its offset; "" when none.
func secretIn(s string) (what string, offset int) {
	for _, f := range secretForms {
		if len(s) < 12 || !strings.Contains(s, f.part) {
			continue
		}
		if m := f.form.FindStringIndex(s); m != nil {
			return f.what, m[0]
		}
	}
	return "", 0
}

// secretKey tells whether a key announces a secret. Names that merely refer to
// one, as passwordRef does, do not end in these words.
func secretKey(key string) bool {
	word := strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(key))
	for _, end := range []string{"password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey", "privatekey", "accesskey", "presharedkey"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return word == "psk" || word == "bearer" || word == "passwordhash"
}

// literal reports a key whose value is a secret; the value is not shown.
func (d *decoder) literal(key *yaml.Node, path string) {
	d.fail(key, path, "a secret has no place in a cluster file", keepSecret)
}

// secrets reports every scalar that holds a secret, wherever it stands and
// whether or not its key is known.
func (d *decoder) secrets(root *yaml.Node) {
	var walk func(n *yaml.Node, path string)
	walk = func(n *yaml.Node, path string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				below := join(path, pathKey(n.Content[i]))
				if what, _ := secretIn(n.Content[i].Value); what != "" {
					d.fail(n.Content[i], path, "a key of this mapping is "+what, keepSecret)
				}
				walk(n.Content[i+1], below)
			}
		case yaml.SequenceNode:
			for i, child := range n.Content {
				walk(child, item(path, i))
			}
		case yaml.ScalarNode:
			d.secretScalar(n, path)
		}
	}
	walk(root, "")
}

func (d *decoder) secretScalar(n *yaml.Node, path string) {
	what, offset := secretIn(n.Value)
	if what == "" || d.src.broken[path] {
		return
	}
	d.src.broken[path] = true
	p := report.Problem{Line: n.Line, Col: n.Column, Path: shown(path), Message: "holds " + what, Fix: keepSecret}
	if n.Style&yaml.LiteralStyle != 0 {
		p.Line = min(n.Line+1+strings.Count(n.Value[:offset], "\n"), len(d.src.lines))
		p.Col = d.src.indent(p.Line)
	}
	d.report.Add(p)
}
