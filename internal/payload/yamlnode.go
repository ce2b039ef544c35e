package payload

import (
	"bytes"
	"fmt"

	"gopkg.in/yaml.v3"
)

// at is the value of a key of a mapping, or nil.
func at(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// items are the entries of a list inside a list of keys.
func items(root *yaml.Node, section, list string) []*yaml.Node {
	n := at(at(root, section), list)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = resolve(c)
	}
	return out
}

// field spells a path of butane's report: storage.files[3].mode.
func field(path []any) string {
	var b bytes.Buffer
	for _, p := range path {
		if i, isIndex := p.(int); isIndex {
			fmt.Fprintf(&b, "[%d]", i)
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		fmt.Fprint(&b, p)
	}
	return b.String()
}
