package scaleway

import (
	"context"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// keep adds objects that were made in this run and that lists do not show yet.
func (o *Observed) keep(before *Observed, made map[string]bool) {
	o.Networks = kept(o.Networks, before.Networks, made, func(x Network) string { return x.ID })
	o.Addresses = kept(o.Addresses, before.Addresses, made, func(x Address) string { return x.ID })
	o.Groups = kept(o.Groups, before.Groups, made, func(x SeenGroup) string { return x.ID })
	o.Placements = kept(o.Placements, before.Placements, made, func(x Placement) string { return x.ID })
	o.IPs = kept(o.IPs, before.IPs, made, func(x FlexibleIP) string { return x.ID })
	o.Volumes = kept(o.Volumes, before.Volumes, made, func(x Volume) string { return x.ID })
	o.Servers = kept(o.Servers, before.Servers, made, func(x Server) string { return x.ID })
}

func kept[T any](now, before []T, made map[string]bool, id func(T) string) []T {
	for _, old := range before {
		if made[id(old)] && !slices.ContainsFunc(now, func(x T) bool { return id(x) == id(old) }) {
			now = append(now, old)
		}
	}
	return now
}

// refresh asks for the servers and volumes of this run one by one, since a list that
// does not show one yet cannot say how it is.
func (w *work) refresh(ctx context.Context, seen *Observed, shown map[string]bool) error {
	with := scw.WithContext(ctx)
	for i, v := range seen.Volumes {
		if shown[v.ID] {
			continue
		}
		now, err := w.block.GetVolume(&block.GetVolumeRequest{Zone: w.zone, VolumeID: v.ID}, with)
		if err != nil && !absent(err) {
			return err
		}
		if err == nil {
			seen.Volumes[i] = seenVolume(now)
		}
	}
	for i := range seen.Servers {
		s := &seen.Servers[i]
		s.RootTagged = slices.ContainsFunc(seen.Volumes, func(v Volume) bool { return v.ID == s.Root })
		if shown[s.ID] {
			continue
		}
		now, err := w.instance.GetServer(&instance.GetServerRequest{Zone: w.zone, ServerID: s.ID}, with)
		if err != nil && !absent(err) {
			return err
		}
		if err == nil {
			tagged, data := s.RootTagged, s.UserData
			*s = seenServer(now.Server)
			s.RootTagged, s.UserData = tagged, data
		}
	}
	return nil
}
