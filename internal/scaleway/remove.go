package scaleway

import (
	"context"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// remove carries out a change that deletes; what is gone already counts as deleted.
func (w *work) remove(ctx context.Context, c Change) error {
	var err error
	with := scw.WithContext(ctx)
	switch c.Kind {
	case DeleteServer:
		err = w.instance.DeleteServer(&instance.DeleteServerRequest{Zone: w.zone, ServerID: c.ID}, with)
	case DeleteVolume:
		err = w.block.DeleteVolume(&block.DeleteVolumeRequest{Zone: w.zone, VolumeID: c.ID}, with)
	case DeleteIP:
		err = w.instance.DeleteIP(&instance.DeleteIPRequest{Zone: w.zone, IP: c.ID}, with)
	case DeleteGroup:
		err = w.instance.DeleteSecurityGroup(&instance.DeleteSecurityGroupRequest{Zone: w.zone, SecurityGroupID: c.ID}, with)
	case DeletePlacement:
		err = w.instance.DeletePlacementGroup(&instance.DeletePlacementGroupRequest{Zone: w.zone, PlacementGroupID: c.ID}, with)
	case ReleaseAddress:
		err = w.ipam.ReleaseIP(&ipam.ReleaseIPRequest{Region: w.region, IPID: c.ID}, with)
	case DeleteNetwork:
		err = w.vpc.DeletePrivateNetwork(&vpc.DeletePrivateNetworkRequest{Region: w.region, PrivateNetworkID: c.ID}, with)
	case DeleteImage:
		err = w.instance.DeleteImage(&instance.DeleteImageRequest{Zone: w.zone, ImageID: c.ID}, with)
	case DeleteSnapshot:
		err = w.block.DeleteSnapshot(&block.DeleteSnapshotRequest{Zone: w.zone, SnapshotID: c.ID}, with)
	default:
		return stray(c)
	}
	if err != nil && !absent(err) {
		return err
	}
	w.gone[c.ID] = true
	w.seen.drop(w.gone)
	return nil
}

// drop forgets objects that are gone; lists may go on showing them for a while.
func (o *Observed) drop(gone map[string]bool) {
	o.Networks = slices.DeleteFunc(o.Networks, func(x Network) bool { return gone[x.ID] })
	o.Addresses = slices.DeleteFunc(o.Addresses, func(x Address) bool { return gone[x.ID] })
	o.Groups = slices.DeleteFunc(o.Groups, func(x SeenGroup) bool { return gone[x.ID] })
	o.Placements = slices.DeleteFunc(o.Placements, func(x Placement) bool { return gone[x.ID] })
	o.IPs = slices.DeleteFunc(o.IPs, func(x FlexibleIP) bool { return gone[x.ID] })
	o.Volumes = slices.DeleteFunc(o.Volumes, func(x Volume) bool { return gone[x.ID] })
	o.Servers = slices.DeleteFunc(o.Servers, func(x Server) bool { return gone[x.ID] })
	o.Images = slices.DeleteFunc(o.Images, func(x SeenImage) bool { return gone[x.ID] })
	o.Snapshots = slices.DeleteFunc(o.Snapshots, func(x SeenSnapshot) bool { return gone[x.ID] })
}
