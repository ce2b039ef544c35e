package profiles

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"text/template"
	"unicode/utf8"
)

//go:embed */*.tmpl
var templateFiles embed.FS

// templates parses every embedded template once. A template's name is its path
// under profiles/ without .tmpl: master/etcd.yaml.
var templates = sync.OnceValues(parseTemplates)

func parseTemplates() (*template.Template, error) {
	root := template.New("").Option("missingkey=error")
	root.Funcs(template.FuncMap{
		"quote": quote,
		"json":  toJSON,
		"join":  strings.Join,
		"file":  func(name string, data any) (string, error) { return execute(root, name, data) },
	})
	paths, err := fs.Glob(templateFiles, "*/*.tmpl")
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := templateFiles.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if _, err := root.New(strings.TrimSuffix(path, ".tmpl")).Parse(string(text)); err != nil {
			return nil, err
		}
	}
	return root, nil
}

// render fills the template profiles/<name>.tmpl.
func render(name string, data any) (string, error) {
	t, err := templates()
	if err != nil {
		return "", err
	}
	return execute(t, name, data)
}

func execute(t *template.Template, name string, data any) (string, error) {
	var b strings.Builder
	if err := t.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("fill profiles/%s.tmpl: %w", name, err)
	}
	return withoutComments(b.String()), nil
}

// withoutComments leaves out the lines that only hold a comment: they are for
// who reads the templates, nobody logs in to read them on a node, and user-data
// is counted in bytes.
func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if trimmed := strings.TrimLeft(line, " \t"); !strings.HasPrefix(trimmed, "#") || strings.HasPrefix(line, "#!") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// quote is a double-quoted string that YAML, JSON and TOML all read back as s.
// JSON leaves characters bare that YAML does not take as they are: controls above
// ASCII, the byte order mark and the two noncharacters beside it.
func quote(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("a value that is not UTF-8 cannot be quoted")
	}
	text, err := toJSON(s)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, r := range text {
		if r >= 0x7f && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}

// toJSON is v as JSON, which is also YAML, on one line and without HTML escapes.
func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}
