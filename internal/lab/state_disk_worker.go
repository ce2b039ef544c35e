package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// smallKubelet gives a kubelet with a small disk the thresholds that it has without the
// lab's, sets no gibibyte of it aside, and lets it forget in 30 s, not 5 minutes, that
// the disk was full.
const smallKubelet = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionHard: {nodefs.available: "10%"}
systemReserved: {ephemeral-storage: 16Mi}
evictionPressureTransitionPeriod: 30s
`

// fullWorker gives the kubelet of a worker a small disk, fills it, and makes room again.
func fullWorker(name string) func(context.Context, *bout) (string, error) {
	return onSmallDisk(name, smallWorker, func(b *bout, ctx context.Context, n *Node) (string, error) {
		k, err := b.runKept(ctx, apartIfItCan)
		if err != nil {
			return "", err
		}
		if k.readyBeside(ctx, name) == nil {
			return "", fmt.Errorf("none of its pods is on %s", name)
		}
		evidence, err := b.fillWorker(ctx, n, k)
		return evidence, errors.Join(err, k.gone(ctx))
	})
}

// fillWorker fills the disk and has its pods go elsewhere; with room the node is as
// before.
func (b *bout) fillWorker(ctx context.Context, n *Node, k kept) (string, error) {
	filler := filepath.Join(n.state, "kubelet", "filler")
	b.Begun()
	if err := fill(filler); err != nil {
		return "", err
	}
	said, err := b.saysCode(ctx, n, bootcode.DiskFull)
	if err != nil {
		return "", err
	}
	took, err := b.Wait(ctx, "pods of "+n.Name+" run elsewhere", 4*time.Minute, func(ctx context.Context) error { return k.readyBeside(ctx, n.Name) })
	if err != nil {
		return said, err
	}
	b.Measure("its pods run elsewhere", took, 0)
	evicted, err := k.evicted(ctx, n.Name)
	if err != nil {
		return said, err
	}
	if err := b.Serves(ctx, soon); err != nil {
		return said, fmt.Errorf("while one disk is full: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return said, err
	}
	b.Healed()
	from := b.since()
	took, err = b.Wait(ctx, n.Name+" takes pods again and has nothing more to say about its disk", 3*time.Minute, func(ctx context.Context) error {
		if _, err := n.endsIn(bootcode.DiskFull); err == nil {
			return errors.New("its console ends in that code")
		}
		return b.takesPods(ctx, n.Name)
	})
	b.Measure("with room, it takes pods again", took-from, 0)
	return fmt.Sprintf("%s; its kubelet evicted %s, which ran elsewhere; with room it went on by itself", said, counted(evicted, "pod")), err
}

// evicted counts the pods that the kubelet of a node made end.
func (k kept) evicted(ctx context.Context, node string) (count int, err error) {
	pods, err := k.look(ctx)
	for _, p := range pods {
		if p.node == node && p.phase == "Failed" && p.reason == "Evicted" {
			count++
		}
	}
	if err == nil && count == 0 {
		err = fmt.Errorf("no pod of %s was evicted", node)
	}
	return count, err
}

// takesPods refuses while the scheduler is kept off a node.
func (b *bout) takesPods(ctx context.Context, name string) error {
	var node struct {
		Spec struct {
			Taints []struct{ Key string } `json:"taints"`
		} `json:"spec"`
	}
	if err := b.anyMaster(ctx, b.o, "/api/v1/nodes/"+name, &node); err != nil {
		return err
	}
	for _, t := range node.Spec.Taints {
		if strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			return fmt.Errorf("%s is tainted: %s", name, t.Key)
		}
	}
	return nil
}

// smallWorker gives the node's kubelet a file system of its own, with what a kubelet does
// on a machine whose disk is its own.
func smallWorker(ctx context.Context, n *Node) (back func(context.Context) error, err error) {
	settings := filepath.Join(n.root, kubeletFolder, "small.conf")
	if err := os.WriteFile(settings, []byte(smallKubelet), 0o644); err != nil {
		return nil, err
	}
	larger, err := n.ownDisk(ctx, "kubelet")
	if err != nil {
		return nil, errors.Join(err, os.Remove(settings))
	}
	return func(ctx context.Context) error { return errors.Join(os.Remove(settings), larger(ctx)) }, nil
}
