package fake

import (
	"io"
	"net/http"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
)

func serverID(s *instance.Server) string { return s.ID }

func (a *API) handleServers() {
	const servers = "/instance/v1/zones/{zone}/servers"
	a.handle("GET "+servers, func(r *http.Request) (any, error) {
		return list(a, r, "servers", a.servers, serverID, func(s *instance.Server) []string { return s.Tags })
	})
	a.handle("POST "+servers, a.createServer)
	a.handle("GET "+servers+"/{id}", a.on(func(_ *http.Request, s *instance.Server) (any, error) {
		res := map[string]any{"server": *s}
		arrive(s)
		return res, nil
	}))
	a.handle("DELETE "+servers+"/{id}", a.on(a.deleteServer))
	a.handle("POST "+servers+"/{id}/action", a.on(a.act))
	a.handle("POST "+servers+"/{id}/attach-volume", a.on(a.attachVolume))
	a.handle("POST "+servers+"/{id}/private_nics", a.on(a.createNIC))
	a.handle("GET "+servers+"/{id}/user_data", a.on(func(_ *http.Request, s *instance.Server) (any, error) {
		keys := []string{}
		for key := range a.userData[s.ID] {
			keys = append(keys, key)
		}
		return map[string]any{"user_data": keys}, nil
	}))
	a.handle("GET "+servers+"/{id}/user_data/{key}", a.on(func(r *http.Request, s *instance.Server) (any, error) {
		data, ok := a.userData[s.ID][r.PathValue("key")]
		if !ok {
			return nil, refuse(http.StatusNotFound, "unknown_resource", "user data not found")
		}
		return data, nil
	}))
	a.handle("PATCH "+servers+"/{id}/user_data/{key}", a.on(a.setUserData))
	a.handle("DELETE "+servers+"/{id}/user_data/{key}", a.on(func(r *http.Request, s *instance.Server) (any, error) {
		delete(a.userData[s.ID], r.PathValue("key"))
		return nil, nil
	}))
}

// on looks a server up first.
func (a *API) on(do func(*http.Request, *instance.Server) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		i, ok := find(a.servers, r.PathValue("id"), serverID)
		if !ok {
			return nil, unknown("Instance", r.PathValue("id"))
		}
		return do(r, a.servers[i])
	}
}

// arrive lets a server get where it was sent, one look later.
func arrive(s *instance.Server) {
	switch s.State {
	case instance.ServerStateStarting:
		s.State = instance.ServerStateRunning
	case instance.ServerStateStopping:
		s.State = instance.ServerStateStopped
	}
}

func (a *API) createServer(r *http.Request) (any, error) {
	var req instance.CreateServerRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(req.Project); err != nil {
		return nil, err
	}
	if err := a.checkServer(req); err != nil {
		return nil, err
	}
	s := &instance.Server{ID: a.id(), Name: req.Name, Hostname: req.Name, Project: Project, Tags: req.Tags, CommercialType: req.CommercialType,
		State: instance.ServerStateStopped, Zone: Zone, Volumes: map[string]*instance.VolumeServer{}, PrivateNics: []*instance.PrivateNIC{},
		DynamicIPRequired: req.DynamicIPRequired == nil || *req.DynamicIPRequired}
	made := a.date()
	s.CreationDate = &made
	s.Image = a.published(*req.Image)
	if req.SecurityGroup != nil {
		s.SecurityGroup = &instance.SecurityGroupSummary{ID: *req.SecurityGroup}
	}
	if req.PlacementGroup != nil {
		s.PlacementGroup = &instance.PlacementGroup{ID: *req.PlacementGroup, Zone: Zone}
	}
	for slot, t := range req.Volumes {
		v := &block.Volume{ID: a.id(), Name: *t.Name, Size: *t.Size, ProjectID: Project, Tags: []string{}, Status: block.VolumeStatusInUse, Zone: Zone}
		a.volumes = append(a.volumes, v)
		a.attach(s, v, slot)
	}
	a.servers = append(a.servers, s)
	return map[string]any{"server": s}, nil
}

func (a *API) checkServer(req instance.CreateServerRequest) error {
	if req.Image == nil || *req.Image != ImageID && a.published(*req.Image) == nil {
		return refuse(http.StatusNotFound, "unknown_resource", "image not found")
	}
	if req.CommercialType == "" {
		return invalid("commercial_type", "required key not provided")
	}
	for _, v := range req.Volumes {
		if v.VolumeType != instance.VolumeVolumeTypeSbsVolume {
			return invalid("volumes", "%s is not supported by this type", v.VolumeType)
		}
		if v.Name == nil || *v.Name == "" || v.Size == nil {
			return invalid("volumes", "name and size are required")
		}
	}
	if req.SecurityGroup != nil {
		if _, ok := find(a.groups, *req.SecurityGroup, groupID); !ok {
			return unknown("Security group", *req.SecurityGroup)
		}
	}
	if req.PlacementGroup != nil {
		if _, ok := find(a.placements, *req.PlacementGroup, placementID); !ok {
			return unknown("Placement group", *req.PlacementGroup)
		}
	}
	return nil
}

func (a *API) attach(s *instance.Server, v *block.Volume, slot string) {
	s.Volumes[slot] = &instance.VolumeServer{ID: v.ID, Name: &v.Name, VolumeType: instance.VolumeServerVolumeTypeSbsVolume, Boot: slot == "0", Zone: Zone}
	v.Status = block.VolumeStatusInUse
	v.References = []*block.Reference{{ID: a.id(), ProductResourceType: "instance_server", ProductResourceID: s.ID}}
}

func (a *API) attachVolume(r *http.Request, s *instance.Server) (any, error) {
	var req instance.AttachServerVolumeRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	i, ok := find(a.volumes, req.VolumeID, volumeID)
	if !ok {
		return nil, unknown("Volume", req.VolumeID)
	}
	if len(a.volumes[i].References) > 0 {
		return nil, refuse(http.StatusBadRequest, "invalid_request_error", "volume is attached already")
	}
	a.attach(s, a.volumes[i], string(rune('0'+len(s.Volumes))))
	return map[string]any{"server": s}, nil
}

func (a *API) createNIC(r *http.Request, s *instance.Server) (any, error) {
	var req instance.CreatePrivateNICRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if _, ok := find(a.networks, req.PrivateNetworkID, networkID); !ok {
		return nil, unknown("Private network", req.PrivateNetworkID)
	}
	for _, nic := range s.PrivateNics {
		if nic.PrivateNetworkID == req.PrivateNetworkID {
			return nil, refuse(http.StatusBadRequest, "invalid_request_error", "the server has an interface in this network")
		}
	}
	for _, id := range req.IpamIPIDs {
		i, ok := find(a.booked, id, bookedID)
		if !ok || a.booked[i].Resource != nil {
			return nil, invalid("ipam_ip_ids", "%s is not booked, or attached", id)
		}
		a.booked[i].Resource = &ipam.Resource{Type: ipam.ResourceTypeInstancePrivateNic, ID: s.ID}
	}
	nic := &instance.PrivateNIC{ID: a.id(), ServerID: s.ID, PrivateNetworkID: req.PrivateNetworkID, MacAddress: "02:00:00:00:00:01",
		State: instance.PrivateNICStateAvailable, Tags: req.Tags, Zone: Zone, IpamIPIDs: req.IpamIPIDs}
	s.PrivateNics = append(s.PrivateNics, nic)
	return map[string]any{"private_nic": nic}, nil
}

// maxUserData is a limit of this fake; the provider documents none.
const maxUserData = 127 << 10

func (a *API) setUserData(r *http.Request, s *instance.Server) (any, error) {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxUserData+1))
	if err != nil || len(data) > maxUserData {
		return nil, invalid("user_data", "is too long")
	}
	a.store(s, r.PathValue("key"), data)
	return nil, nil
}

func (a *API) act(r *http.Request, s *instance.Server) (any, error) {
	var req instance.ServerActionRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	switch {
	case req.Action == instance.ServerActionPoweron && s.State == instance.ServerStateStopped:
		if len(a.userData[s.ID]["cloud-init"]) == 0 {
			a.mistakes = append(a.mistakes, s.Name+" was powered on without user-data")
		}
		s.State = instance.ServerStateStarting
	case req.Action == instance.ServerActionPoweroff && s.State == instance.ServerStateRunning:
		s.State = instance.ServerStateStopping
	default:
		return nil, refuse(http.StatusBadRequest, "invalid_request_error", "%s is not possible while %s", req.Action, s.State)
	}
	return map[string]any{"task": map[string]any{"id": a.id()}}, nil
}

func (a *API) deleteServer(_ *http.Request, s *instance.Server) (any, error) {
	if s.State != instance.ServerStateStopped {
		return nil, refuse(http.StatusBadRequest, "invalid_request_error", "the server must be off")
	}
	for _, v := range a.volumes {
		if len(v.References) > 0 && v.References[0].ProductResourceID == s.ID {
			v.References, v.Status = nil, block.VolumeStatusAvailable
		}
	}
	for _, ip := range a.booked {
		if ip.Resource != nil && ip.Resource.ID == s.ID {
			ip.Resource = nil
		}
	}
	for _, ip := range a.ips {
		if ip.Server != nil && ip.Server.ID == s.ID {
			ip.Server = nil
		}
	}
	a.servers = slices.DeleteFunc(a.servers, func(x *instance.Server) bool { return x.ID == s.ID })
	delete(a.userData, s.ID)
	return nil, nil
}
