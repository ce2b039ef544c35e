package fake

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
)

// Inventory says line by line what exists, without IDs, in a stable order: the
// same for the same result, however it was reached.
func (a *API) Inventory() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, n := range a.networks {
		route := ""
		if n.DefaultRoutePropagationEnabled {
			route = "default route "
		}
		add("network %s %s %s%s", n.Name, n.Subnets[0].Subnet.String(), route, strings.Join(n.Tags, " "))
	}
	for _, ip := range a.booked {
		add("booked %v %s", ip.Resource != nil, strings.Join(ip.Tags, " "))
	}
	for _, g := range a.groups {
		add("group %s in:%s rules:%d %s", g.Name, g.InboundDefaultPolicy, len(a.rules[g.ID]), strings.Join(g.Tags, " "))
	}
	for _, p := range a.placements {
		add("placement %s %s %s", p.Name, p.PolicyMode, p.PolicyType)
	}
	for _, ip := range a.ips {
		holder := "nobody"
		if ip.Server != nil {
			holder = ip.Server.Name
		}
		add("ip %s at %s %s", ip.Address, holder, strings.Join(ip.Tags, " "))
	}
	for _, v := range a.volumes {
		add("volume %s attached:%d %s", v.Name, len(v.References), strings.Join(v.Tags, " "))
	}
	for _, s := range a.servers {
		add("server %s %s %s nics:%d volumes:%d apart:%v userdata:%v dynamicIP:%v %s", s.Name, s.CommercialType, s.State, len(s.PrivateNics), len(s.Volumes),
			s.PlacementGroup != nil, len(a.userData[s.ID]["cloud-init"]) > 0, s.DynamicIPRequired, strings.Join(s.Tags, " "))
	}
	out = append(out, a.shelf()...)
	slices.Sort(out)
	return out
}

// IDs are those of everything that was ever made.
func (a *API) IDs() (out []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for n := range a.ids {
		out = append(out, idOf(n+1))
	}
	return out
}

// UserData is what a server boots from.
func (a *API) UserData(name string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.servers {
		if s.Name == name {
			return bytes.Clone(a.userData[s.ID]["cloud-init"])
		}
	}
	return nil
}

// Reserve makes a flexible IP that no cluster made, as a person in the console does.
func (a *API) Reserve() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.reserve(nil).Address.String()
}

// Stranger makes a server that is none of the cluster's, and returns its ID.
func (a *API) Stranger(name string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.id()
	a.servers = append(a.servers, &instance.Server{ID: id, Name: name, Project: Project, Tags: []string{"other"}, State: instance.ServerStateRunning, Zone: Zone,
		Volumes: map[string]*instance.VolumeServer{}, PrivateNics: []*instance.PrivateNIC{}})
	return id
}

// Attach attaches a flexible IP to a server, as a person in the console does.
func (a *API) Attach(address, server string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i, found := a.findIP(address)
	for _, s := range a.servers {
		if found && s.Name == server {
			a.ips[i].Server = &instance.ServerSummary{ID: s.ID, Name: s.Name}
		}
	}
}

// Lose deletes a server, as a person in the console does.
func (a *API) Lose(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range slices.Clone(a.servers) {
		if s.Name == name {
			s.State = instance.ServerStateStopped
			a.deleteServer(nil, s)
		}
	}
}

// GiveUserData sets a server's user-data, as a person in the console does.
func (a *API) GiveUserData(name string, data []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range a.servers {
		if s.Name == name {
			a.store(s, "cloud-init", data)
		}
	}
}

// Bucket makes a bucket in a region, as a person in the console does, with objects in it.
func (a *API) Bucket(name, region string, objects map[string][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.addBucket(name, region)
	for key, data := range objects {
		b.objects[key] = &object{data: data}
	}
}

// Squat makes a bucket that another customer owns and lets everybody read and write.
func (a *API) Squat(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addBucket(name, string(Region)).foreign = true
}

// Spoil lets imports of all objects that are there fail.
func (a *API) Spoil() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, b := range a.buckets {
		for _, o := range b.objects {
			o.bad = true
		}
	}
}

// BootFrom makes a server from the image with a name, as a person in the console does.
func (a *API) BootFrom(server, image string) {
	a.Stranger(server)
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.images {
		if i.Name == image {
			a.servers[len(a.servers)-1].Image = i
		}
	}
}
