package artifact

import (
	"reflect"
	"strings"
	"testing"
)

// Both files are read by another version of the helper than the one that the
// profiles were built with: their text must not change by accident.
func TestNodeFileText(t *testing.T) {
	n := NodeFile{Cluster: "nostromo", Node: "master-1", Role: "master", Slot: 1, Address: "192.168.66.11",
		Endpoint: NodeEndpoint{Mode: "vip", Address: "192.168.66.253", Port: 6443}, APIServerPort: 8443,
		VIP: &NodeVIP{Address: "192.168.66.253", PrefixLen: 24, Interface: "mesh0", RouterID: 51, Priority: 150}}
	const want = `{
  "cluster": "nostromo",
  "node": "master-1",
  "role": "master",
  "slot": 1,
  "address": "192.168.66.11",
  "endpoint": {
    "mode": "vip",
    "address": "192.168.66.253",
    "port": 6443
  },
  "apiserverPort": 8443,
  "vip": {
    "address": "192.168.66.253",
    "prefixLen": 24,
    "interface": "mesh0",
    "routerID": 51,
    "priority": 150
  }
}
`
	text, err := EncodeNodeFile(n)
	if err != nil || string(text) != want {
		t.Errorf("node.json (%v)\n%s\nwant\n%s", err, text, want)
	}
	if got, err := ParseNodeFile(text); err != nil || !reflect.DeepEqual(got, n) {
		t.Errorf("parsed %+v (%v)", got, err)
	}
}

func TestParseNodeFileRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "EOF",
		"{}":                    "node name",
		`{"node": "A"}`:         "node name",
		`{"node": "a", "x": 1}`: "unknown field",
		`{"node": "a"} {}`:      "follows",
		`{"node": "a", "endpoint": {"port": 65536}}`: "port 65536",
		`{"node": "a", "apiserverPort": -1}`:         "port -1",
	} {
		if _, err := ParseNodeFile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one about %q", text, err, want)
		}
	}
}

func TestClusterFileRoundTrip(t *testing.T) {
	c := ClusterFile{Cluster: "nostromo", Role: "master", Kubernetes: "1.36.3", EndpointURL: "https://192.168.66.253:6443", APIServerPort: 8443,
		Etcd:  ClusterEtcd{Token: "t", Founders: []string{"master-1"}},
		Nodes: []ClusterNode{{Name: "master-1", Role: "master", Slot: 1, Address: "192.168.66.11", Labels: map[string]string{"a": "b"}, Window: &ClusterWindow{Start: "04:00", Minutes: 20}}}}
	text, err := EncodeClusterFile(c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseClusterFile(text); err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("parsed %+v (%v)", got, err)
	}
	if _, err := ParseClusterFile([]byte(`{"clutser": "x"}`)); err == nil {
		t.Error("an unknown key passes")
	}
}
