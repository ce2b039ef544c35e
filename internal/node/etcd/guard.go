package etcd

import (
	"errors"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Guard runs before the kubelet, which starts whatever manifest it finds. It leaves
// etcd's only where the data is there and this cluster's: an etcd without its data
// would come up under the name of a member that has voted, and could vote again. It
// asks nobody and takes milliseconds; [Run] then decides.
func Guard(o Options) error {
	n, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.EtcdUnable, "%v", err)
	}
	if err := n.guard(); err != nil {
		return bootcode.Fail(bootcode.EtcdStepFailed, "%v", err)
	}
	return nil
}

func (n *node) guard() error {
	placed, err := n.placed()
	if err != nil || placed == "" {
		return err
	}
	disk, err := readDisk(n.path(dataPath))
	if err != nil {
		// A disk that does not answer may be mounted late: Run looks again.
		return errors.Join(err, n.displace())
	}
	if disk.Held != Data || disk.Cluster != n.founding {
		return n.displace()
	}
	if err := n.rememberData(); err != nil {
		return err
	}
	return n.place(n.self.Name+"="+n.self.URL, stateExisting)
}
