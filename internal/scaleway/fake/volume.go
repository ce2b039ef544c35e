package fake

import (
	"encoding/json"
	"net"
	"net/http"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func volumeID(v *block.Volume) string { return v.ID }
func ipID(ip *instance.IP) string     { return ip.ID }

func (a *API) handleVolumes() {
	const volumes = "/block/v1/zones/{zone}/volumes"
	a.handle("GET "+volumes, func(r *http.Request) (any, error) {
		return list(a, r, "volumes", a.volumes, volumeID, func(v *block.Volume) []string { return v.Tags })
	})
	a.handle("POST "+volumes, a.createVolume)
	a.handle("GET "+volumes+"/{id}", func(r *http.Request) (any, error) {
		i, ok := find(a.volumes, r.PathValue("id"), volumeID)
		if !ok {
			return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
		}
		return a.volumes[i], nil
	})
	a.handle("PATCH "+volumes+"/{id}", a.updateVolume)
	a.handle("DELETE "+volumes+"/{id}", a.deleteVolume)
	a.handle("POST /instance/v1/zones/{zone}/snapshots", func(*http.Request) (any, error) {
		return nil, refuse(http.StatusBadRequest, "invalid_request_error", "snapshots are made and imported through the Block Storage API")
	})
	a.handle("GET /marketplace/v2/local-images", a.localImages)
}

func (a *API) createVolume(r *http.Request) (any, error) {
	var req block.CreateVolumeRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(&req.ProjectID); err != nil {
		return nil, err
	}
	if req.FromEmpty == nil || req.FromEmpty.Size < scw.GB {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "from_empty: size is required")
	}
	v := &block.Volume{ID: a.id(), Name: req.Name, Type: "sbs_5k", Size: req.FromEmpty.Size, ProjectID: Project, Tags: req.Tags,
		Status: block.VolumeStatusAvailable, Zone: Zone}
	a.volumes = append(a.volumes, v)
	return v, nil
}

func (a *API) updateVolume(r *http.Request) (any, error) {
	var req block.UpdateVolumeRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	i, ok := find(a.volumes, r.PathValue("id"), volumeID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
	}
	if req.Tags != nil {
		a.volumes[i].Tags = *req.Tags
	}
	return a.volumes[i], nil
}

func (a *API) deleteVolume(r *http.Request) (any, error) {
	i, ok := find(a.volumes, r.PathValue("id"), volumeID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
	}
	if len(a.volumes[i].References) > 0 {
		return nil, refuse(http.StatusPreconditionFailed, "precondition_failed", "the volume is in use")
	}
	a.volumes = slices.Delete(a.volumes, i, i+1)
	return nil, nil
}

// localImages knows one label, on block storage alone.
func (a *API) localImages(r *http.Request) (any, error) {
	q, images := r.URL.Query(), []map[string]any{}
	if q.Get("image_label") == Label && q.Get("type") == "instance_sbs" && q.Get("zone") == string(Zone) {
		images = append(images, map[string]any{"id": ImageID, "label": Label, "zone": Zone, "arch": "x86_64", "type": "instance_sbs",
			"compatible_commercial_types": []string{"PRO2-XXS", "PRO2-XS", "PLAY2-NANO"}})
	}
	return map[string]any{"local_images": images, "total_count": len(images)}, nil
}

func (a *API) handleIPs() {
	const ips = "/instance/v1/zones/{zone}/ips"
	a.handle("GET "+ips, func(r *http.Request) (any, error) {
		return list(a, r, "ips", a.ips, ipID, func(ip *instance.IP) []string { return ip.Tags })
	})
	a.handle("POST "+ips, func(r *http.Request) (any, error) {
		var req instance.CreateIPRequest
		if err := body(r, &req); err != nil {
			return nil, err
		}
		if err := project(req.Project); err != nil {
			return nil, err
		}
		return map[string]any{"ip": a.reserve(req.Tags)}, nil
	})
	a.handle("GET "+ips+"/{id}", func(r *http.Request) (any, error) {
		i, ok := a.findIP(r.PathValue("id"))
		if !ok {
			return nil, unknown("IP", r.PathValue("id"))
		}
		return map[string]any{"ip": a.asItWas(a.ips[i])}, nil
	})
	a.handle("PATCH "+ips+"/{id}", a.updateIP)
	a.handle("DELETE "+ips+"/{id}", func(r *http.Request) (any, error) {
		i, ok := find(a.ips, r.PathValue("id"), ipID)
		if !ok {
			return nil, unknown("IP", r.PathValue("id"))
		}
		a.ips = slices.Delete(a.ips, i, i+1)
		return nil, nil
	})
}

func (a *API) reserve(tags []string) *instance.IP {
	addr := net.IPv4(203, 0, 113, byte(10+len(a.ips))).To4()
	ip := &instance.IP{ID: a.id(), Address: addr, Project: Project, Tags: tags, Type: instance.IPTypeRoutedIPv4, Zone: Zone,
		Prefix: scw.IPNet{IPNet: net.IPNet{IP: addr, Mask: net.CIDRMask(32, 32)}}}
	a.ips = append(a.ips, ip)
	return ip
}

// maxIPs is how many routed addresses one server may have.
const maxIPs = 5

// findIP looks one up by its ID or address: the API takes either.
func (a *API) findIP(name string) (int, bool) {
	return find(a.ips, name, func(ip *instance.IP) string {
		if ip.Address.String() == name {
			return name
		}
		return ip.ID
	})
}

func (a *API) updateIP(r *http.Request) (any, error) {
	var req struct {
		Server json.RawMessage `json:"server"` // null detaches; nothing leaves it
		Tags   *[]string       `json:"tags"`
	}
	if err := body(r, &req); err != nil {
		return nil, err
	}
	i, ok := a.findIP(r.PathValue("id"))
	if !ok {
		return nil, unknown("IP", r.PathValue("id"))
	}
	to, err := nullable(req.Server)
	if err != nil {
		return nil, err
	}
	if string(req.Server) == "null" && a.ips[i].Server != nil {
		a.ips[i].Server = nil
		a.moves++
	}
	if to != "" && (a.ips[i].Server == nil || a.ips[i].Server.ID != to) {
		s, ok := find(a.servers, to, serverID)
		if !ok {
			return nil, unknown("Instance", to)
		}
		held := 0
		for _, ip := range a.ips {
			if ip.Server != nil && ip.Server.ID == to {
				held++
			}
		}
		if held >= maxIPs {
			return nil, invalid("server", "has %d routed addresses already", held)
		}
		a.ips[i].Server = &instance.ServerSummary{ID: a.servers[s].ID, Name: a.servers[s].Name}
		a.moves++
	}
	return map[string]any{"ip": a.ips[i]}, nil
}

// nullable is a text, or "" for null and for nothing.
func nullable(raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", invalid("server", "%v", err)
	}
	return text, nil
}
