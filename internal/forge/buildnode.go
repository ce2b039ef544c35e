package forge

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// nodes writes one payload per node, reserved slots included, and its drive.
// Each is dropped once written, so that memory does not grow with the cluster.
func (b *build) nodes(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	work := make(chan plan.Node)
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for n := range work {
				if ctx.Err() != nil {
					continue
				}
				if err := b.node(n); err != nil {
					stop(err)
				}
			}
		})
	}
	for _, n := range b.plan.Nodes {
		work <- n
	}
	close(work)
	group.Wait()
	return context.Cause(ctx)
}

func (b *build) node(n plan.Node) error {
	doc, err := b.document("", n.Name, b.store)
	if err != nil {
		return err
	}
	p, err := payload.Render(doc, b.options("", false, b.store))
	if err != nil {
		return b.explain(err)
	}
	b.warn(b.problems(p.Warnings)...)
	item := artifact.Item{Path: "nodes/" + n.Name + b.extension(), Kind: "payload", Node: n.Name, Role: n.Role, Format: b.plan.OS.Format, Secret: true}
	if err := b.tree.AddBytes(item, p.Data); err != nil {
		return err
	}
	if err := b.serve(p.Fetched); err != nil {
		return err
	}
	if err := b.drive(n, p.Data); err != nil {
		return err
	}
	b.mu.Lock()
	b.result.Nodes++
	b.mu.Unlock()
	return nil
}

// drive writes the drive that this OS reads on this platform, if it reads one.
func (b *build) drive(n plan.Node, data []byte) error {
	var write func(io.Writer) error
	switch b.plan.Platform.Drive {
	case images.ConfigDriveLabel:
		write = func(w io.Writer) error { return images.ConfigDrive(w, data, n.Name, n.GUID) }
	case images.CIDataLabel:
		network, err := b.networkConfig(n)
		if err != nil {
			return err
		}
		write = func(w io.Writer) error { return images.CIData(w, data, n.Name, n.InstanceID, network) }
	default:
		return nil
	}
	item := artifact.Item{Path: "drives/" + n.Name + ".iso", Kind: "drive", Node: n.Name, Role: n.Role, Format: "iso9660", Secret: true}
	if err := b.tree.Add(item, write); err != nil {
		return err
	}
	b.mu.Lock()
	b.result.Drives++
	b.mu.Unlock()
	return nil
}

// networkConfig is what a cidata drive says of a network on which nobody hands
// out addresses; nil, where DHCP does. cloud-init acts on it before it reads
// user-data, and would wait for DHCP until it gives up.
func (b *build) networkConfig(n plan.Node) ([]byte, error) {
	network := b.plan.Network
	if network.Mesh != "none" || network.Gateway == "" {
		return nil, nil
	}
	return payload.NetworkConfig(payload.Interface{
		Name: cmp.Or(n.Interface, network.Interface), MAC: n.MAC,
		Addresses: []string{fmt.Sprintf("%s/%d", n.Address, network.PrefixLen)}, Gateway: network.Gateway, DNS: b.plan.Settings.DNS,
	})
}

// serve writes the files that nodes fetch by hash, each once.
func (b *build) serve(files []artifact.File) error {
	for _, f := range files {
		b.mu.Lock()
		seen := b.fetched[f.Path]
		b.fetched[f.Path] = true
		if !seen {
			b.result.Fetched++
		}
		b.mu.Unlock()
		if seen {
			continue
		}
		if err := b.tree.AddBytes(artifact.Item{Path: f.Path, Kind: "file", Format: "raw"}, f.Contents); err != nil {
			return err
		}
	}
	return nil
}
