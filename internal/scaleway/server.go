package scaleway

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/marketplace/v2"
	scwerrors "github.com/scaleway/scaleway-sdk-go/errors"
	"github.com/scaleway/scaleway-sdk-go/scw"
	"github.com/scaleway/scaleway-sdk-go/validation"
)

func (w *work) performServer(ctx context.Context, c Change) error {
	with := scw.WithContext(ctx)
	if c.Kind == CreateServer {
		return w.createServer(c, with)
	}
	s := w.seen.server(c.Of)
	if c.ID != "" {
		s = w.seen.serverByID(c.ID)
	}
	if s == nil {
		return stray(c)
	}
	w.touched[s.ID] = true // also when it fails: the attempt may have worked
	switch c.Kind {
	case TagRoot:
		return w.tagRoot(s, with)
	case AttachVolume:
		return w.attachVolume(s, c.Name, with)
	case CreateNIC:
		return w.createNIC(s, with)
	case SetUserData:
		return w.setUserData(s, with)
	case DeleteUserData:
		return w.deleteUserData(s, with)
	case PowerOn:
		return w.act(s, instance.ServerActionPoweron, stateStarting, with)
	case PowerOff:
		return w.act(s, instance.ServerActionPoweroff, stateStopping, with)
	}
	return w.await(ctx, c, s)
}

// createServer makes a server that is off: user-data can only be set on one that
// exists, and one that booted without has used up its first boot.
func (w *work) createServer(c Change, with scw.RequestOption) error {
	n, _ := w.cluster.node(c.Of)
	image, err := w.image(n, with)
	if err != nil {
		return err
	}
	size, name := gigabytes(w.cluster.RootSize), rootName(n.Name)
	req := &instance.CreateServerRequest{
		Zone: w.zone, Name: n.Name, Project: &w.project, CommercialType: n.Type, Tags: w.cluster.Tags(n), Image: &image,
		DynamicIPRequired: scw.BoolPtr(w.cluster.Egress == EgressPublicIP), SecurityGroup: &w.seen.group(n.Role).ID,
		Volumes: map[string]*instance.VolumeServerTemplate{"0": {Name: &name, Size: &size, Boot: scw.BoolPtr(true), VolumeType: instance.VolumeVolumeTypeSbsVolume}},
	}
	if n.Apart {
		req.PlacementGroup = &w.seen.Placements[0].ID
	}
	res, err := w.instance.CreateServer(req, with)
	if err != nil {
		return err
	}
	w.made[res.Server.ID] = true
	w.seen.Servers = append(w.seen.Servers, seenServer(res.Server))
	return nil
}

// image is the ID of what a node boots from.
func (w *work) image(n Node, with scw.RequestOption) (string, error) {
	label := w.cluster.image(n)
	if validation.IsUUID(label) {
		return label, nil
	}
	local, err := w.market.GetLocalImageByLabel(&marketplace.GetLocalImageByLabelRequest{Zone: w.zone, ImageLabel: label,
		CommercialType: n.Type, Type: marketplace.LocalImageTypeInstanceSbs}, with)
	// The SDK's own verdict on a list that it got; what went wrong on the way is wrapped.
	if verdict, ok := errors.AsType[*scwerrors.Error](err); ok && errors.Unwrap(verdict) == nil {
		return "", &unknownImage{label, n.Type, string(w.zone)}
	}
	if err != nil {
		return "", err
	}
	return local.ID, nil
}

// tagRoot gives the root volume the server's own tags: the server's end leaves it
// behind, and nothing else tells whose it was.
func (w *work) tagRoot(s *Server, with scw.RequestOption) error {
	if s.Root == "" { // a local volume ends with its server
		s.RootTagged = true
		return nil
	}
	tags := w.tags(RoleTag+s.Role, NodeTag+s.Node)
	v, err := w.block.UpdateVolume(&block.UpdateVolumeRequest{Zone: w.zone, VolumeID: s.Root, Tags: &tags}, with)
	if err != nil {
		return err
	}
	s.RootTagged = true
	w.made[s.Root] = true
	if !slices.ContainsFunc(w.seen.Volumes, func(seen Volume) bool { return seen.ID == s.Root }) {
		w.seen.Volumes = append(w.seen.Volumes, Volume{ID: s.Root, Name: v.Name, Node: s.Node, Server: s.ID})
	}
	return nil
}

func (w *work) attachVolume(s *Server, name string, with scw.RequestOption) error {
	v := w.seen.volume(name)
	w.touched[v.ID] = true
	_, err := w.instance.AttachServerVolume(&instance.AttachServerVolumeRequest{Zone: w.zone, ServerID: s.ID, VolumeID: v.ID,
		VolumeType: instance.AttachServerVolumeRequestVolumeTypeSbsVolume}, with)
	if err != nil {
		return err
	}
	v.Server = s.ID
	return nil
}

func (w *work) createNIC(s *Server, with scw.RequestOption) error {
	_, err := w.instance.CreatePrivateNIC(&instance.CreatePrivateNICRequest{Zone: w.zone, ServerID: s.ID, PrivateNetworkID: w.seen.Networks[0].ID,
		IpamIPIDs: []string{w.seen.address(s.Node, false).ID}, Tags: w.tags(NodeTag + s.Node)}, with)
	if err != nil {
		return err
	}
	s.NIC = true
	return nil
}

func (w *work) setUserData(s *Server, with scw.RequestOption) error {
	n, _ := w.cluster.node(s.Node)
	err := w.instance.SetServerUserData(&instance.SetServerUserDataRequest{Zone: w.zone, ServerID: s.ID, Key: UserDataKey, Content: bytes.NewReader(n.UserData)}, with)
	if err != nil {
		return err
	}
	s.UserData = sum(n.UserData)
	return nil
}

func (w *work) deleteUserData(s *Server, with scw.RequestOption) error {
	err := w.instance.DeleteServerUserData(&instance.DeleteServerUserDataRequest{Zone: w.zone, ServerID: s.ID, Key: UserDataKey}, with)
	if err != nil && !absent(err) {
		return err
	}
	s.Kept = false
	return nil
}

func (w *work) act(s *Server, action instance.ServerAction, then string, with scw.RequestOption) error {
	if _, err := w.instance.ServerAction(&instance.ServerActionRequest{Zone: w.zone, ServerID: s.ID, Action: action}, with); err != nil {
		return err
	}
	s.State = then
	return nil
}

// await looks at a server until it is where the change says; each look is one try
// of the API, and the pauses between them add up to some minutes.
func (w *work) await(ctx context.Context, c Change, s *Server) error {
	for look := range awaitLooks {
		res, err := w.instance.GetServer(&instance.GetServerRequest{Zone: w.zone, ServerID: s.ID}, scw.WithContext(ctx))
		if err != nil {
			return err
		}
		s.State, s.Detail = string(res.Server.State), res.Server.StateDetail
		switch {
		case c.Kind == AwaitRunning && s.State == stateRunning, c.Kind == AwaitStopped && s.State == stateStopped:
			return nil
		case c.Kind == AwaitStable && s.State != stateStarting && s.State != stateStopping:
			if s.stopped() {
				s.UserData, err = w.userData(ctx, s.ID)
			}
			return err
		case c.Kind == AwaitRunning && s.stopped():
			return &failedServer{s.Name + " went off instead of running: " + s.Detail}
		}
		if err := w.pause(ctx, look); err != nil {
			return err
		}
	}
	return &failedServer{s.Name + " is still " + s.State}
}

// awaitLooks bounds how often a server is looked at in one wait.
const awaitLooks = 60
