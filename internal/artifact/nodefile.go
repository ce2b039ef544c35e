package artifact

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// NodeFile is /etc/imgforge/node.json: who this node is. It holds no secret,
// but only the claimed node has it, so it stands for the identity.
type NodeFile struct {
	Cluster string `json:"cluster"`
	Node    string `json:"node"`
	Role    string `json:"role"` // master | proxy | worker
	Slot    int    `json:"slot"` // from 1
	// Address is the node's address inside the cluster network.
	Address       string       `json:"address"`
	Endpoint      NodeEndpoint `json:"endpoint"`
	APIServerPort int          `json:"apiserverPort,omitempty"` // on masters
	VIP           *NodeVIP     `json:"vip,omitempty"`           // where keepalived runs
}

// NodeEndpoint is how the node reaches the API.
type NodeEndpoint struct {
	Mode    string `json:"mode"`              // vip | local
	Address string `json:"address,omitempty"` // the VIP
	Port    int    `json:"port"`              // haproxy
}

// NodeVIP is the floating address that this node may hold.
type NodeVIP struct {
	Address   string `json:"address"`
	PrefixLen int    `json:"prefixLen"`
	Interface string `json:"interface"`
	RouterID  int    `json:"routerID"`
	Priority  int    `json:"priority"`
}

// EncodeNodeFile is the text of node.json.
func EncodeNodeFile(n NodeFile) ([]byte, error) {
	if err := checkNodeFile(n); err != nil {
		return nil, fmt.Errorf("encode node.json: %w", err)
	}
	return indentJSON(n)
}

// ParseNodeFile reads node.json strictly.
func ParseNodeFile(data []byte) (NodeFile, error) {
	var n NodeFile
	if err := strictJSON(data, &n); err != nil {
		return NodeFile{}, fmt.Errorf("parse node.json: %w", err)
	}
	if err := checkNodeFile(n); err != nil {
		return NodeFile{}, fmt.Errorf("parse node.json: %w", err)
	}
	return n, nil
}

// ReadNodeFile is the node.json below root, "/" on a node.
func ReadNodeFile(root string) (NodeFile, error) {
	data, err := os.ReadFile(filepath.Join(root, NodeFilePath))
	if err != nil {
		return NodeFile{}, err
	}
	return ParseNodeFile(data)
}

func checkNodeFile(n NodeFile) error {
	if err := checkNodeName(n.Node); err != nil {
		return err
	}
	for _, p := range []int{n.Endpoint.Port, n.APIServerPort} {
		if p < 0 || p > 65535 {
			return fmt.Errorf("port %d is not between 1 and 65535", p)
		}
	}
	return nil
}

func indentJSON(v any) ([]byte, error) {
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}
