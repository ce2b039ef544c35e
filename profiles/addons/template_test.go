package addons

import (
	"testing"
	"text/template/parse"
)

// Every value that a template fills in goes through quote, but for the domain in
// the Corefile, which is checked to be nothing else.
func TestEveryValueIsQuoted(t *testing.T) {
	seen := 0
	for _, name := range []string{Bindings, Flannel, KubeProxy, CoreDNS, MetricsServer} {
		t.Run(name, func(t *testing.T) {
			tmpl, err := parseTemplate(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, one := range tmpl.Templates() {
				for _, a := range actions(one.Root) {
					seen++
					last := a.Pipe.Cmds[len(a.Pipe.Cmds)-1].Args[0].String()
					if last != "quote" && a.Pipe.String() != ".Domain" {
						t.Errorf("line %d: {{ %s }} does not end in quote", a.Line, a.Pipe)
					}
				}
			}
		})
	}
	if seen == 0 {
		t.Error("no template fills in anything")
	}
}

// actions lists the values that a template prints, in all branches.
func actions(n parse.Node) []*parse.ActionNode {
	var out []*parse.ActionNode
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return nil
		}
		for _, c := range n.Nodes {
			out = append(out, actions(c)...)
		}
	case *parse.ActionNode:
		out = append(out, n)
	case *parse.IfNode:
		out = append(actions(n.List), actions(n.ElseList)...)
	}
	return out
}
