package lab

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"
)

// peerCluster is one cluster that kubeadm makes, of nodes that are made like the trial's.
type peerCluster struct {
	trial      *Trial
	way        way
	members    []peerMember // masters first
	nodes      []*Node      // theirs
	balancer   *balancer
	token, key string
	flannel    string
	first      time.Time // when the first of them got power

	mu   sync.Mutex
	seen PeerCluster
}

// peerMember is a node before it is made.
type peerMember struct {
	name    string
	master  bool
	address netip.Prefix // on the wire
	like    *Node        // the node of imgforge in whose place it is
}

// newPeerCluster makes the nodes, which have no power yet, and their load balancer,
// which works already.
func (t *Trial) newPeerCluster(ctx context.Context, w way) (_ *peerCluster, err error) {
	c := &peerCluster{trial: t, way: w, seen: PeerCluster{How: w.how}}
	if c.token, c.key, err = peerSecrets(); err != nil {
		return nil, err
	}
	var backends []netip.AddrPort
	for _, masters := range []bool{true, false} {
		for _, n := range t.nodes {
			if t.isMaster(n) != masters {
				continue
			}
			m := peerMember{name: w.prefix + "-" + n.Name, master: masters, address: peerAddress(len(c.members)), like: n}
			c.members = append(c.members, m)
			if masters {
				backends = append(backends, netip.AddrPortFrom(m.address.Addr(), peerPort))
			}
		}
	}
	at := netip.AddrPortFrom(t.wire.gateway.Addr(), peerPort)
	if c.flannel, err = peerFlannelOf(c.members[0].like.root, at); err != nil {
		return nil, err
	}
	if c.balancer, err = t.wire.balance(ctx, at, backends); err != nil {
		return nil, err
	}
	return c, c.make(ctx)
}

// peerAddress is on the lab's own network, where no node of a topology has one.
func peerAddress(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 99, 0, byte(150 + i)}), gateway().Bits())
}

// peerSecrets are a bootstrap token and a key for the uploaded certificates, in the
// forms that kubeadm has for them.
func peerSecrets() (token, key string, err error) {
	raw := make([]byte, 14+32)
	if _, err := rand.Read(raw); err != nil {
		return "", "", err
	}
	words := strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw[:14])) // 23 of a-z and 2-7
	return words[:6] + "." + words[6:22], hex.EncodeToString(raw[14:]), nil
}

// make makes the nodes of the same tree, programs and images, with kubeadm in an
// extension of its own.
func (c *peerCluster) make(ctx context.Context) error {
	t := c.trial
	kubeadm, err := t.OwnExtension("kubeadm", "kubeadm")
	if err != nil {
		return err
	}
	for _, m := range c.members {
		n, err := t.Lab.Make(ctx, NodeOptions{Name: m.name, Tree: t.tree, Extensions: append([]string{kubeadm}, t.extensions...), Store: t.images, Network: t.wire, Address: m.address,
			Files: func(root string) error { return c.files(root, m.like.root, m) }})
		if err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	return nil
}

// end takes the power of the nodes, and the load balancer away.
func (c *peerCluster) end(ctx context.Context) error {
	return errors.Join(together(c.nodes, func(n *Node) error { return n.PowerOff(ctx) }), c.balancer.end())
}

// boot gives the nodes power and has kubeadm make a cluster of them, and waits until
// all of them are Ready.
func (c *peerCluster) boot(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, boundBoot)
	defer cancel()
	meter, err := newLoadMeter()
	if err != nil {
		return err
	}
	if c.first, err = PowerOn(ctx, c.nodes); err != nil {
		return err
	}
	var wg sync.WaitGroup
	var joinErr, readyErr error
	wg.Go(func() {
		if joinErr = c.join(ctx); joinErr != nil {
			cancel()
		}
	})
	wg.Go(func() { readyErr = c.ready(ctx) })
	wg.Wait()
	if joinErr != nil || readyErr != nil {
		return cmp.Or(joinErr, readyErr)
	}
	c.seen.Load, err = meter.read(c.nodes)
	return err
}

// ready waits until the API says that every node is Ready, and notes when. It asks as
// often as it asks imgforge's.
func (c *peerCluster) ready(ctx context.Context) error {
	t := c.trial
	o := &operator{trial: t, netns: t.wire.netns}
	admin := filepath.Join(c.nodes[0].root, peerAdmin)
	registered, ready := map[string]bool{}, map[string]bool{}
	for {
		err := o.parseFile(admin)
		if err == nil {
			var list nodeList
			if err = o.through(ctx, o.netns, o.server, "/api/v1/nodes", &list); err == nil {
				err = t.judgeNodes(&list, c.nodes, c.nodes, registered, ready)
			}
		}
		if err == nil {
			c.seen.Seconds = time.Since(c.first).Seconds()
			t.Note("", time.Since(c.first), allOf(c.nodes)+"Ready")
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%sReady: %w", allOf(c.nodes), err)
		case <-time.After(pauseAPI):
		}
	}
}

// parseFile is parse for a kubeconfig that kubeadm wrote.
func (o *operator) parseFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return o.parse(data)
}

// whole looks at what kubeadm made: a comparison with half a cluster would say nothing.
func (c *peerCluster) whole(ctx context.Context) (string, error) {
	masters := 0
	for _, m := range c.members {
		if m.master {
			masters++
		}
	}
	voters, err := votersOf(ctx, masters, c.nodes[0].Run)
	if err != nil {
		return "", err
	}
	out, err := c.nodes[0].Run(ctx, "kubectl", "--kubeconfig="+peerAdmin, "get", "nodes", "--no-headers")
	if err == nil && strings.Count(out, " Ready ") != len(c.nodes) {
		err = fmt.Errorf("kubectl get nodes printed:\n%s", out)
	}
	return fmt.Sprintf("%s Ready; etcd: %s", counted(len(c.nodes), "node"), voters), err
}
