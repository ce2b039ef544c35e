package scaleway

import (
	"context"
	"fmt"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
)

// ObserveAll is Observe and what was published of the cluster: images and snapshots.
func (c *Client) ObserveAll(ctx context.Context, cluster *Cluster) (*Observed, error) {
	seen, err := c.Observe(ctx, cluster)
	if err != nil {
		return nil, err
	}
	look := &looking{Client: c, ctx: ctx, cluster: cluster, tag: ClusterTag + cluster.Name, seen: *seen}
	if err := look.published(); err != nil {
		return nil, fmt.Errorf("list what was published: %w", err)
	}
	return &look.seen, nil
}

// published looks at images, at their snapshots, and at which of them others use.
func (l *looking) published() error {
	images, err := l.instance.ListImages(&instance.ListImagesRequest{Zone: l.zone, Project: &l.project, Tags: &l.tag}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, i := range images.Images {
		if l.ours(i.Tags) && i.Project == l.project {
			l.seen.Images = append(l.seen.Images, seenImage(i))
		}
	}
	snapshots, err := l.block.ListSnapshots(&block.ListSnapshotsRequest{Zone: l.zone, ProjectID: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, s := range snapshots.Snapshots {
		if l.ours(s.Tags) && s.Status != block.SnapshotStatusDeleted && s.Status != block.SnapshotStatusDeleting {
			l.seen.Snapshots = append(l.seen.Snapshots, seenSnapshot(s))
		}
	}
	if len(l.seen.Images) == 0 {
		return nil
	}
	servers, err := l.instance.ListServers(&instance.ListServersRequest{Zone: l.zone, Project: &l.project}, all(l.ctx)...)
	if err != nil {
		return err
	}
	l.seen.Used = map[string]bool{}
	for _, s := range servers.Servers {
		if s.Image != nil && !l.ours(s.Tags) {
			l.seen.Used[s.Image.ID] = true
		}
	}
	return nil
}
