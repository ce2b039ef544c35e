package lab

import (
	"context"
	"errors"
	"fmt"

	"github.com/imgforge/imgforge/internal/plan"
)

// Peer is what kubeadm took to make clusters of as many nodes in the same run,
// beside what imgforge took.
type Peer struct {
	Masters int `json:"masters"`
	Others  int `json:"others"`
	// Own is imgforge's: seconds from the first node's power-on until all are Ready.
	Own  float64 `json:"own"`
	Load Load    `json:"load"` // meanwhile
	// Clusters are kubeadm's, one for each way of joining; the aim is about the first.
	Clusters []PeerCluster `json:"clusters"`
	// Configs are kubeadm's, of the first master, another master and another node.
	Configs []string `json:"configs"`
}

// PeerCluster is one cluster that kubeadm made.
type PeerCluster struct {
	How     string  `json:"how"`
	Seconds float64 `json:"seconds"` // from the first node's power-on until all are Ready
	Load    Load    `json:"load"`    // meanwhile
	// Ratio is imgforge's seconds in these.
	Ratio    float64       `json:"ratio"`
	Commands []PeerCommand `json:"commands"`
}

// PeerCommand is what somebody types on a node, or a program for them.
type PeerCommand struct {
	Node    string   `json:"node"`
	Text    string   `json:"text"`
	Begun   float64  `json:"begun"` // seconds from power-on
	Ended   float64  `json:"ended"`
	Said    []Moment `json:"said,omitempty"`
	Failure string   `json:"failure,omitempty"`
}

// Moment is when a command came to one of its phases, and the first line that it printed of it.
type Moment struct {
	Seconds float64 `json:"seconds"` // from power-on
	Text    string  `json:"text"`
}

// aimPeer is how much of kubeadm's time imgforge may take.
const aimPeer = 0.5

func kubeadmPeer() Topology {
	return Topology{
		Name:    "kubeadm-peer",
		About:   "the 3 masters, 2 proxies and 2 workers of tinc-vip, then as many nodes by kubeadm: init, join, join; power-on to all Ready of both",
		Kind:    Container,
		Cluster: clusterFile("tinc-vip"),
		Play:    playPeer,
	}
}

// ComparePeer boots imgforge's cluster and then kubeadm's in a lab of its own. What
// was seen of them is returned with an error too; nil when it was nothing.
func ComparePeer(ctx context.Context, c Config) (*Peer, error) {
	o, err := Run(ctx, c, kubeadmPeer())
	return o.Peer, err
}

// playPeer boots the cluster from its payloads, cuts its power, and has kubeadm make
// one of as many nodes on the same machine, once for each way of joining.
func playPeer(ctx context.Context, t *Trial) error {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.Containers(ctx); err != nil {
		return err
	}
	for _, name := range t.existing() {
		made, _ := t.Plan.Node(name)
		if _, err := t.Make(ctx, name, "roles/"+made.Role+".ign"); err != nil {
			return err
		}
	}
	o, err := t.operator(ctx)
	if err != nil {
		return err
	}
	t.Phase("imgforge, from its payloads")
	meter, err := newLoadMeter()
	if err != nil {
		return err
	}
	first, err := PowerOn(ctx, t.nodes)
	if err != nil {
		return err
	}
	if err := t.boots(ctx, o, t.nodes, first); err != nil {
		return err
	}
	load, err := meter.read(t.nodes)
	if err != nil {
		return err
	}
	return t.peers(ctx, load)
}

// readyAfter is when all nodes were Ready in this phase, in seconds from power-on.
func (t *Trial) readyAfter() float64 {
	t.seen.Lock()
	defer t.seen.Unlock()
	for _, s := range t.result.Steps {
		if s.Phase == t.phase && s.Node == "" && s.What == allOf(t.nodes)+"Ready" {
			return s.Seconds
		}
	}
	return 0
}

// peers cuts the power of the trial's nodes, which were all Ready in this phase, and
// has kubeadm make clusters of as many. Each has the machine for itself, as they had.
func (t *Trial) peers(ctx context.Context, load Load) error {
	masters := len(t.masters())
	p := &Peer{Masters: masters, Others: len(t.nodes) - masters, Own: t.readyAfter(), Load: load}
	t.result.Peer = p
	if err := together(t.nodes, func(n *Node) error { return n.PowerOff(ctx) }); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	var errs []error
	for _, w := range waysToJoin() {
		c, err := t.peer(ctx, w)
		if err != nil {
			errs = append(errs, fmt.Errorf("kubeadm, %s: %w", w.how, err))
			continue
		}
		c.Ratio = p.Own / c.Seconds
		p.Clusters = append(p.Clusters, *c)
	}
	return errors.Join(errs...)
}

// way is an order in which nodes join.
type way struct {
	prefix, how string
	// atOnce lets the masters join at the same time.
	atOnce bool
}

func waysToJoin() []way {
	return []way{
		{prefix: "peer", how: "init, join, join: one master after the other, the other nodes beside them"},
		{prefix: "race", how: "init, then every other node at once", atOnce: true},
	}
}

// peer has kubeadm make one cluster and takes it away again.
func (t *Trial) peer(ctx context.Context, w way) (_ *PeerCluster, err error) {
	t.Phase("kubeadm: " + w.how)
	c, err := t.newPeerCluster(ctx, w)
	if err != nil {
		return nil, err
	}
	t.result.Peer.Configs = c.configs()
	defer func() { err = errors.Join(err, c.end(ctx)) }()
	if err := c.boot(ctx); err != nil {
		return nil, err
	}
	t.Check(ctx, fmt.Sprintf("kubeadm made a cluster of %s: %s", counted(len(c.nodes), "node"), w.how), soon, c.whole)
	return &c.seen, nil
}

// isMaster tells whether a node of the trial runs the control plane.
func (t *Trial) isMaster(n *Node) bool {
	made, ok := t.Plan.Node(n.Name)
	return ok && made.Role == plan.Master
}
