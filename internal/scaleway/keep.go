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
// does not show one yet cannot say how it is, and one that does may show it as it was.
func (w *work) refresh(ctx context.Context, seen *Observed, shown map[string]bool) error {
	with := scw.WithContext(ctx)
	for i, v := range seen.Volumes {
		if shown[v.ID] && !w.touched[v.ID] {
			continue
		}
		now, err := w.block.GetVolume(&block.GetVolumeRequest{Zone: w.zone, VolumeID: v.ID}, with)
		if err := w.missed(err, shown, v.ID); err != nil {
			return err
		}
		if err == nil {
			seen.Volumes[i] = seenVolume(now)
		}
	}
	for i := range seen.Servers {
		s := &seen.Servers[i]
		if !shown[s.ID] || w.touched[s.ID] {
			if err := w.refreshServer(ctx, s, shown); err != nil {
				return err
			}
		}
		s.RootTagged = s.Root == "" || slices.ContainsFunc(seen.Volumes, func(v Volume) bool { return v.ID == s.Root })
	}
	return nil
}

func (w *work) refreshServer(ctx context.Context, s *Server, shown map[string]bool) error {
	now, err := w.instance.GetServer(&instance.GetServerRequest{Zone: w.zone, ServerID: s.ID}, scw.WithContext(ctx))
	if err := w.missed(err, shown, s.ID); err != nil {
		return err
	}
	if err != nil {
		return nil
	}
	was := *s
	*s = seenServer(now.Server)
	s.Kept, s.UserData = was.Kept, was.UserData
	if s.stopped() && !was.stopped() {
		s.UserData, err = w.userData(ctx, s.ID)
	}
	return err
}

// missed takes note of an object that a list shows and that is not there any more; what
// else went wrong it returns.
func (w *work) missed(err error, shown map[string]bool, id string) error {
	if !absent(err) {
		return err
	}
	if shown[id] {
		w.gone[id] = true
	}
	return nil
}
