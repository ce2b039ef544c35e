package profiles

import (
	"strings"
	"testing"
	"text/template/parse"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// TestEveryValueIsQuoted: in YAML and TOML every value that a template fills in
// goes through quote or json, so that no name, password or snippet can change
// the structure around it.
func TestEveryValueIsQuoted(t *testing.T) {
	all, err := templates()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, tmpl := range all.Templates() {
		name := tmpl.Name()
		if !strings.HasSuffix(name, ".bu") && !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".toml") {
			continue
		}
		for _, a := range actions(tmpl.Root) {
			seen++
			last := a.Pipe.Cmds[len(a.Pipe.Cmds)-1].Args[0].String()
			if len(a.Pipe.Decl) == 0 && last != "quote" && last != "json" {
				t.Errorf("profiles/%s.tmpl:%d: {{ %s }} ends in neither quote nor json", name, a.Line, a.Pipe)
			}
		}
	}
	if seen == 0 {
		t.Fatal("no template fills in anything")
	}
}

// actions lists the values that a template prints, in all branches.
func actions(n parse.Node) []*parse.ActionNode {
	var out []*parse.ActionNode
	branch := func(b parse.BranchNode) {
		out = append(out, actions(b.List)...)
		if b.ElseList != nil {
			out = append(out, actions(b.ElseList)...)
		}
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			out = append(out, actions(c)...)
		}
	case *parse.ActionNode:
		out = append(out, n)
	case *parse.IfNode:
		branch(n.BranchNode)
	case *parse.RangeNode:
		branch(n.BranchNode)
	case *parse.WithNode:
		branch(n.BranchNode)
	}
	return out
}

func TestMissingKeyIsAnError(t *testing.T) {
	if _, err := render("common/kubeconfig.yaml", map[string]string{"Cluster": "c"}); err == nil || !strings.Contains(err.Error(), "profiles/common/kubeconfig.yaml.tmpl") {
		t.Errorf("got %v", err)
	}
}

func TestCommentsStayInTemplates(t *testing.T) {
	got := withoutComments("#!/bin/sh\n# why\n\t# and how\necho '#' # stays\n")
	if want := "#!/bin/sh\necho '#' # stays\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestQuoteRefusesWhatIsNotText(t *testing.T) {
	if _, err := quote("\xff"); err == nil {
		t.Error("a byte that is not UTF-8 was quoted as another")
	}
}

// FuzzQuote: YAML reads back exactly what was quoted.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "yes", "1e3", "- a: b", "line\nline\n", "tab\t\"quote\" \\ back", "<&>", "\u2028 \u0085 \x7f \x00", "{{ .X }}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, err := quote(s)
		if err != nil {
			if utf8.ValidString(s) {
				t.Fatalf("%q is UTF-8 and was refused: %v", s, err)
			}
			return
		}
		var got struct{ Value string }
		if err := yaml.Unmarshal([]byte("value: "+text+"\n"), &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Value != s {
			t.Errorf("%q became %q", s, got.Value)
		}
	})
}

func TestFragmentIsStrict(t *testing.T) {
	for name, text := range map[string]string{
		"unknown key":   "storage:\n  files:\n  - path: /a\n    mod: 0600\n",
		"two documents": "storage: {}\n---\nsystemd: {}\n",
	} {
		if _, err := decodeFragment(text); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	f, err := decodeFragment("storage:\n  files:\n  - path: /a\n    mode: 0600\n")
	if err != nil || f.Storage.Files[0].Mode != 0o600 {
		t.Errorf("mode is not read as octal: %+v, %v", f, err)
	}
}
