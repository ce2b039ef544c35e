package watch

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// noon is the clock of the table.
var noon = time.Date(2031, 5, 4, 12, 0, 0, 0, time.UTC)

// wellNode is a master on which nothing is wrong.
func wellNode() Facts {
	part := func(name string) Part { return Part{Name: name, Answers: true, Ready: true} }
	return Facts{
		Node: artifact.NodeFile{Cluster: "nostromo", Node: "master-1", Role: "master", Slot: 1, Address: "192.168.66.11"},
		Cluster: artifact.ClusterFile{EndpointURL: "https://192.168.66.253:6443", Kubernetes: "1.36.3",
			Etcd: artifact.ClusterEtcd{Founders: []string{"master-1", "master-2", "master-3"}}},
		Now:     noon,
		Others:  map[string]step.Record{step.Claim: {State: step.Done}, step.Time: {State: step.Warning}, step.Etcd: {State: step.Done}},
		Mesh:    Mesh{Kind: tinc, Interface: "mesh0", Address: true, Asked: 6, Answered: 1, Hubs: []Hub{{Name: "master_2", Where: "10.9.0.2:655"}}},
		Images:  Images{Count: 7},
		Leaves:  []leaf.State{{Path: "/etc/kubernetes/pki/kubelet.crt", NotAfter: noon.AddDate(0, 0, 31)}},
		Disks:   []Disk{{Path: "/", Size: 20 << 30, Free: 10 << 30, Files: 1000, FilesFree: 900}, {Path: "/var/lib/etcd", Size: 8 << 30, Free: 4 << 30}},
		Kubelet: Kubelet{Healthy: true},
		API:     API{Status: 200, Ready: true},
		Parts:   []Part{part("etcd"), part(apiServer), part("kube-controller-manager"), part("kube-scheduler")},
	}
}

// wellWorker is a worker on which nothing is wrong.
func wellWorker() Facts {
	f := wellNode()
	f.Node.Node, f.Node.Role, f.Node.Address, f.Parts = "worker-1", "worker", "192.168.66.51", nil
	delete(f.Others, step.Etcd)
	return f
}

// situation is one thing that is wrong, and the one code that it has.
type situation struct {
	name    string
	worker  bool
	change  func(f *Facts)
	code    int
	outcome int
	says    string // of the reason
	golden  bool   // the text of the code is made by this one
}

func situations() []situation {
	silent := func(f *Facts) { f.Mesh.Answered = 0 }
	return []situation{
		{"no address", false, func(f *Facts) {
			f.Kubelet, f.API = Kubelet{Why: "kubelet.service is inactive (dead)"}, API{}
			f.Mesh.Address, f.Mesh.Answered, f.Mesh.Unit = false, 0, "imgforge-mesh.service is activating (auto-restart): /dev/net/tun: no such device"
		}, bootcode.MeshDown, Passing, "192.168.66.11 is not on mesh0", true},
		{"no peer, no hub", false, func(f *Facts) {
			silent(f)
			f.Mesh.Hubs[0].Why = "connect: no route to host"
		}, bootcode.NoPeer, Passing, "master_2 at 10.9.0.2:655 cannot be reached: connect: no route to host", true},
		{"no peer without a mesh", true, func(f *Facts) {
			silent(f)
			f.Mesh.Kind, f.Mesh.Hubs = none, nil
		}, bootcode.NoPeer, Passing, "no node of the cluster answers", false},
		{"a hub that can be reached", true, func(f *Facts) {
			silent(f)
			f.Mesh.Hubs[0].Reached = true
			f.Mesh.Refused = []string{"master_2 at 10.9.0.2 uses another key"}
		}, bootcode.MeshRefused, Passing, "master_2 at 10.9.0.2:655 can be reached", true},
		{"refusals alone", false, func(f *Facts) {
			silent(f)
			f.Mesh.Hubs, f.Mesh.Refused = nil, []string{"worker_1 at 10.9.0.9 is not known here"}
		}, bootcode.MeshRefused, Passing, "worker_1 at 10.9.0.9 is not known here", false},
		{"keys of two nodes", true, func(f *Facts) { f.Mesh.OwnKey = "the private key does not belong" }, bootcode.MeshRefused, Final, "the private key", false},
		{"a taken address", true, func(f *Facts) {
			f.Mesh.Taken = "the machine with hardware address 52:54:00:12:34:56 on mesh0 answers for 192.168.66.51"
		}, bootcode.AddressTaken, Final, "52:54:00:12:34:56", true},
		{"a stranger", false, func(f *Facts) { f.Mesh.Refused = []string{"worker_1 at 10.9.0.9 uses another key"} }, bootcode.PeerRefused, Warned, "worker_1", true},
		{"a twin", false, func(f *Facts) {
			f.Mesh.Twins = []string{"worker-1 comes from one address and then from another, again and again; now from 203.0.113.9:51820"}
		}, bootcode.MeshTwin, Warned, "worker-1", true},
		{"a twin that has the connection", false, func(f *Facts) { silent(f); f.Mesh.Twins = []string{"x"} }, bootcode.MeshTwin, Warned, "x", false},

		{"no kubelet", true, func(f *Facts) { f.Images.NoPrograms = []string{"kubelet, which is part of Kubernetes"} }, bootcode.ProgramMissing, Final, "kubelet", true},
		{"no containerd", true, func(f *Facts) {
			f.Images.Containerd, f.Kubelet = "ctr: connection error: connect: no such file or directory", Kubelet{}
		}, bootcode.ContainerdDown, Passing, "connection error", true},
		{"a missing image", false, func(f *Facts) {
			f.Images.Missing = []string{"registry.k8s.io/etcd:3.6.6-0, which /etc/imgforge/etcd/etcd.yaml names"}
			f.Others[step.Etcd] = step.Record{State: step.Warning}
			f.Parts[0], f.Parts[1], f.API = Part{Name: "etcd"}, Part{Name: apiServer}, API{}
		}, bootcode.ImageMissing, Passing, "registry.k8s.io/etcd:3.6.6-0", true},

		{"no leaf", true, func(f *Facts) {
			f.Leaves[0].Unread = "/etc/kubernetes/pki/kubelet.key: no such file or directory"
		}, bootcode.LeafUnread, Final, "kubelet.key: ", true},
		{"a foreign authority", false, func(f *Facts) {
			f.Leaves[0] = leaf.State{Path: "/etc/kubernetes/pki/apiserver-etcd-client.crt", Foreign: `it was not signed by the authority in /etc/kubernetes/pki/etcd/ca.crt, but by another one that calls itself "etcd"`}
			f.Others[step.Etcd], f.Parts[0], f.Parts[1], f.API = step.Record{State: step.Warning}, Part{Name: "etcd"}, Part{Name: apiServer}, API{}
		}, bootcode.LeafForeign, Final, "/etc/kubernetes/pki/etcd/ca.crt", true},
		{"an ended leaf", true, func(f *Facts) { f.Leaves[0].NotAfter = noon.Add(-time.Minute); f.API = API{} }, bootcode.LeafEnded, Final, "ended on 2031-05-04 11:59 UTC", true},
		{"a leaf that ends soon", true, func(f *Facts) { f.Leaves[0].NotAfter = noon.AddDate(0, 0, 29) }, bootcode.LeafExpiring, Warned, "ends on 2031-06-02 12:00 UTC", true},

		{"a full disk", false, func(f *Facts) { f.Disks[1].Free = 12 << 20 }, bootcode.DiskFull, Final, "the file system of /var/lib/etcd has 12 MiB left of 8192 MiB", true},
		{"no more files", true, func(f *Facts) { f.Disks[0].FilesFree = 0 }, bootcode.DiskFull, Final, "the file system of / takes no more files", false},
		{"a disk that fills", true, func(f *Facts) { f.Disks[0].Free = 1 << 30 }, bootcode.DiskFilling, Warned, "the file system of / has 1024 MiB left of 20480 MiB", true},
		{"few more files", true, func(f *Facts) { f.Disks[0].FilesFree = 40 }, bootcode.DiskFilling, Warned, "takes 40 more files, it has 960", false},

		{"a dead kubelet", true, func(f *Facts) {
			f.Kubelet = Kubelet{Why: `kubelet.service is activating (auto-restart): run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --foo"`}
			f.API = API{}
		}, bootcode.KubeletDown, Passing, "unknown flag: --foo", true},
		{"a clock that is behind", true, func(f *Facts) { f.API.Clock = noon.Add(time.Hour) }, bootcode.ClockDiffers, Warned, "the clock of the API server that answered is 1h0m0s ahead of this node's", true},
		{"a clock that is ahead", true, func(f *Facts) { f.API.Clock = noon.Add(-61 * time.Second) }, bootcode.ClockDiffers, Warned, "is 1m0s behind this node's", false},
		{"a silent API", true, func(f *Facts) { f.API = API{Why: "dial tcp 192.168.66.253:6443: connect: no route to host"} }, bootcode.APISilent, Passing, "https://192.168.66.253:6443: dial", true},
		{"a failing API", true, func(f *Facts) { f.API = API{Status: 503, Why: "no backend"} }, bootcode.APISilent, Passing, "no backend", false},
		{"another cluster's API", true, func(f *Facts) {
			f.API = API{Foreign: true, Why: "tls: failed to verify certificate: x509: certificate signed by unknown authority"}
		}, bootcode.APIForeign, Passing, "x509", true},
		{"another cluster's node", true, func(f *Facts) { f.API = API{Status: 401, Why: "Unauthorized"} }, bootcode.NodeRefused, Passing, "answers 401: Unauthorized", true},
		{"no node", true, func(f *Facts) {
			f.API = API{Status: 404}
			f.Kubelet.Why = `kubelet.service is active (running): kubelet_node_status.go:107] "Unable to register node with API server" err="nodes \"worker-1\" is forbidden"`
		}, bootcode.NodeUnregistered, Passing, "knows no node worker-1", true},
		{"no pod network", true, func(f *Facts) {
			f.API = API{Status: 200, Message: "KubeletNotReady: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized"}
		}, bootcode.NodeNotReady, Passing, "cni plugin", true},

		{"two machines that are one node", true, func(f *Facts) { f.API.Twin = twoMachines() }, bootcode.NodeTwin, Warned, "another machine writes this Node too: machine id 4", true},

		{"a dead scheduler", false, func(f *Facts) {
			f.Parts[3] = Part{Name: "kube-scheduler", Why: "dial tcp 127.0.0.1:10259: connect: connection refused", Says: `run.go:72] "command failed" err="unknown flag: --foo"`}
		}, bootcode.PartDown, Passing, "unknown flag: --foo", true},
		{"a sick controller manager", false, func(f *Facts) { f.Parts[2].Ready, f.Parts[2].Why = false, "it answers 500: leaderElection" }, bootcode.PartDown, Passing, "leaderElection", false},
		{"a proxy without haproxy", true, func(f *Facts) {
			f.Node.Role, f.HAProxy = "proxy", &Part{Name: "haproxy", Why: "dial tcp 127.0.0.1:8404: connect: connection refused", Says: "[ALERT] config : cannot bind"}
		}, bootcode.ProxyDown, Passing, "cannot bind", false},
		{"a worker whose own haproxy is its way", true, func(f *Facts) {
			f.Node.Endpoint.Mode, f.HAProxy, f.API = "local", &Part{Name: "haproxy", Why: "connection refused"}, API{}
		}, bootcode.ProxyDown, Passing, "refused", false},
		{"an API server without etcd", false, func(f *Facts) {
			f.Parts[1].Ready, f.Parts[1].Why, f.API = false, "it answers 500: etcd failed", API{}
		}, bootcode.APINotReady, Passing, "etcd failed", true},
	}
}

func facts(s situation) Facts {
	f := wellNode()
	if s.worker {
		f = wellWorker()
	}
	if s.change != nil {
		s.change(&f)
	}
	return f
}

// One broken thing has one code, and every other step points at it or is well.
func TestDecide(t *testing.T) {
	for _, s := range situations() {
		t.Run(s.name, func(t *testing.T) {
			want, _ := bootcode.Of(s.code)
			found := false
			for _, w := range Decide(facts(s)) {
				switch {
				case w.Code == 0 && (w.Outcome == Reached || w.Outcome == Behind) && w.Text != "" && w.Why == "":
				case w.Code != s.code || found || w.Step != want.Step || w.Outcome != s.outcome || !strings.Contains(w.Why, s.says) || want.Warning != (w.Outcome == Warned):
					t.Errorf("%+v", w)
				default:
					found = true
				}
			}
			if !found {
				t.Errorf("code %d is not said", s.code)
			}
		})
	}
}

// A node on which nothing is wrong has come to its end, and one whose cause lies in a
// step of another part of the helper says nothing of its own.
func TestDecideWithoutACode(t *testing.T) {
	for name, change := range map[string]func(f *Facts){
		"well":                            func(*Facts) {},
		"a node that founds alone":        func(f *Facts) { f.Cluster.Etcd.Founders, f.Mesh.Answered = []string{"master-1"}, 0 },
		"a cluster of one node":           func(f *Facts) { f.Mesh.Asked, f.Mesh.Answered = 0, 0 },
		"a leaf that the kubelet renewed": func(f *Facts) { f.Leaves[0].Renewed, f.Leaves[0].NotAfter = true, noon.AddDate(0, 0, -1) },
		"haproxy runs":                    func(f *Facts) { f.HAProxy = &Part{Ready: true} },
		"no word of etcd yet":             func(f *Facts) { delete(f.Others, step.Etcd) },
	} {
		f := wellNode()
		change(&f)
		if words := Decide(f); !wellAll(words) || len(words) != 5 {
			t.Errorf("%s: %+v", name, words)
		}
	}
	for name, at := range map[string]map[string]string{
		step.Claim: {step.Mesh: step.Claim, step.Kubelet: step.Mesh},
		step.Time:  {step.Kubelet: step.Time},
		step.Etcd:  {step.ControlPlane: step.Etcd, step.Kubelet: step.ControlPlane},
	} {
		f := wellNode()
		f.Others[name] = step.Record{State: step.Failed}
		f.API.Status = 0
		for _, w := range Decide(f) {
			if w.Code != 0 || at[w.Step] != "" && w.Text != "the step "+at[w.Step] {
				t.Errorf("%s: %+v", name, w)
			}
		}
	}
	guarded := wellNode()
	guarded.Others[step.Etcd], guarded.Kubelet, guarded.API = step.Record{State: step.Failed}, Kubelet{}, API{}
	for _, w := range Decide(guarded) {
		if w.Code != 0 || w.Step == step.Kubelet && w.Text != "the step etcd" {
			t.Errorf("a master whose etcd may not start: %+v", w)
		}
	}
	if words := Decide(wellWorker()); !wellAll(words) || len(words) != 4 {
		t.Errorf("a worker: %+v", words)
	}
	f := wellWorker()
	f.API.Clock = noon.Add(time.Minute)
	if words := Decide(f); len(words) != 4 {
		t.Errorf("a worker whose clock is well: %+v", words)
	}
	f.Others[step.Time] = step.Record{State: step.Warning, Code: bootcode.ClockDiffers}
	if words := Decide(f); !wellAll(words) || len(words) != 5 {
		t.Errorf("a worker whose clock is well again: %+v", words)
	}
}

// Every code has one golden text, made by the situation that causes it.
func TestEveryCodeHasItsText(t *testing.T) {
	texts := map[int]string{}
	for _, s := range situations() {
		for _, w := range Decide(facts(s)) {
			if s.golden && w.Code == s.code {
				texts[w.Code] = bootcode.Fail(w.Code, "%s", w.Why).Error() + "\n"
			}
		}
	}
	_, err := newLooker(Options{Root: "testdata/nowhere"})
	texts[bootcode.NodeUnread] = strings.ReplaceAll(fmt.Sprintln(err), "testdata/nowhere", "")
	for _, c := range bootcode.All() {
		hundred := c.Number / 100
		if hundred != 3 && hundred != 4 && hundred != 6 && c.Number != bootcode.ClockDiffers || c.Number == bootcode.ImportFailed || c.Number == bootcode.NotFetched {
			continue // made happen elsewhere
		}
		got := texts[c.Number]
		if !strings.Contains(got, "\n  why:    ") {
			t.Errorf("code %d was not made happen: %q", c.Number, got)
			continue
		}
		testtool.BootCode(t, c, got, *update)
	}
}

// Who imports the images reports it: what is missing until then is no code, and what
// needs them is behind.
func TestImportIsNoFailure(t *testing.T) {
	f := wellNode()
	f.Images = Images{Importing: true, Containerd: "ctr does not answer", Missing: []string{"x"}, Count: 7}
	f.Kubelet, f.API, f.Parts = Kubelet{}, API{}, []Part{{Name: "etcd"}, {Name: apiServer}}
	for _, w := range Decide(f) {
		if w.Step == step.Images || w.Code != 0 && w.Step == step.Kubelet {
			t.Errorf("%+v", w)
		}
		if w.Step == step.Kubelet && (w.Outcome != Behind || w.Text != "the step images") {
			t.Errorf("%+v", w)
		}
	}
}
