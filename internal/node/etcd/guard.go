package etcd

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Guard runs before the kubelet, which starts whatever manifest it finds. It leaves
// etcd's only where the data is there and this cluster's: an etcd without its data
// would come up under the name of a member that has voted, and could vote again, and
// one with a damaged log would forget what it has acknowledged. Data that etcd.abandon
// names waits, for whoever has no majority would only be ended again. It asks nobody and
// takes as long as reading the log; [Run] then decides. It returns an error only
// while a manifest is in place that may be the wrong one.
func Guard(o Options) error {
	n := &node{o: Options{Root: cmp.Or(o.Root, "/")}}
	placed, err := n.placed()
	if err == nil && placed == "" {
		return nil
	}
	if n, err = load(o); err != nil {
		return bootcode.Fail(bootcode.EtcdUnable, "%v", err)
	}
	if err := n.guard(); err != nil {
		return bootcode.Fail(bootcode.EtcdStepFailed, "%v", err)
	}
	return nil
}

func (n *node) guard() error {
	disk, err := readDisk(n.path(dataPath))
	if err != nil { // it may answer later: then Run puts the manifest back
		n.report(bootcode.EtcdStepFailed, err.Error())
		return n.displace()
	}
	if n.line = n.own(disk); disk.Held != Data || disk.Cluster != n.line.id {
		return n.displace()
	}
	// Run starts it after all while it may be part of a majority.
	if abandoned(disk, n.restore != "", n.abandon) {
		return n.displace()
	}
	if past, _, err := n.recall(n.line); err != nil || past == GivenUp {
		return errors.Join(err, n.displace())
	}
	if damage, err := verify(n.path(dataPath)); err == nil && damage != "" {
		return n.displace() // Run finds it too, and decides
	}
	if err := n.rememberData(); err != nil {
		return fmt.Errorf("remember that etcd has run: %w", err)
	}
	return n.place(n.self.Name+"="+n.self.URL, stateExisting)
}
