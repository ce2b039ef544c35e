package fake

import (
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

func networkID(n *vpc.PrivateNetwork) string { return n.ID }
func bookedID(ip *ipam.IP) string            { return ip.ID }

func (a *API) handleNetworks() {
	const networks, ips = "/vpc/v2/regions/{region}/private-networks", "/ipam/v1/regions/{region}/ips"
	a.handle("GET "+networks, func(r *http.Request) (any, error) {
		return list(a, r, "private_networks", a.networks, networkID, func(n *vpc.PrivateNetwork) []string { return n.Tags })
	})
	a.handle("POST "+networks, a.createNetwork)
	a.handle("DELETE "+networks+"/{id}", a.deleteNetwork)
	a.handle("GET "+ips, func(r *http.Request) (any, error) {
		return list(a, r, "ips", a.booked, bookedID, func(ip *ipam.IP) []string { return ip.Tags })
	})
	a.handle("POST "+ips, a.book)
	a.handle("DELETE "+ips+"/{id}", a.release)
}

func (a *API) createNetwork(r *http.Request) (any, error) {
	var req vpc.CreatePrivateNetworkRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(&req.ProjectID); err != nil {
		return nil, err
	}
	subnet := scw.IPNet{IPNet: net.IPNet{IP: net.IPv4(172, 16, 4, 0).To4(), Mask: net.CIDRMask(22, 32)}}
	if len(req.Subnets) > 0 {
		subnet = req.Subnets[0]
	}
	n := &vpc.PrivateNetwork{ID: a.id(), Name: req.Name, ProjectID: req.ProjectID, Region: Region, Tags: req.Tags, DHCPEnabled: true,
		DefaultRoutePropagationEnabled: req.DefaultRoutePropagationEnabled}
	n.Subnets = []*vpc.Subnet{{ID: a.id(), Subnet: subnet, PrivateNetworkID: n.ID, Region: Region}}
	a.networks = append(a.networks, n)
	return n, nil
}

func (a *API) deleteNetwork(r *http.Request) (any, error) {
	i, ok := find(a.networks, r.PathValue("id"), networkID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
	}
	for _, s := range a.servers {
		for _, nic := range s.PrivateNics {
			if nic.PrivateNetworkID == a.networks[i].ID {
				return nil, refuse(http.StatusPreconditionFailed, "precondition_failed", "resources are still attached")
			}
		}
	}
	for _, ip := range a.booked {
		if *ip.Source.PrivateNetworkID == a.networks[i].ID {
			return nil, refuse(http.StatusPreconditionFailed, "precondition_failed", "addresses are still booked")
		}
	}
	a.networks = slices.Delete(a.networks, i, i+1)
	return nil, nil
}

// book refuses a resource, which the real API does for Instances, and takes an
// address without a mask: the SDK's type cannot carry one.
func (a *API) book(r *http.Request) (any, error) {
	var req ipam.BookIPRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(&req.ProjectID); err != nil {
		return nil, err
	}
	if req.Resource != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "resource: only custom resources may be named")
	}
	if req.Source == nil || req.Source.PrivateNetworkID == nil {
		return nil, refuse(http.StatusBadRequest, "invalid_arguments", "source: is required")
	}
	i, ok := find(a.networks, *req.Source.PrivateNetworkID, networkID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "private network is not found")
	}
	subnet := a.networks[i].Subnets[0].Subnet
	free := a.free(subnet)
	if req.Address != nil {
		free, _ = netip.AddrFromSlice(*req.Address)
		free = free.Unmap()
		if !subnet.Contains(*req.Address) {
			return nil, refuse(http.StatusBadRequest, "invalid_arguments", "address: is outside of the subnet")
		}
		if a.taken(free) {
			return nil, refuse(http.StatusConflict, "already_exists", "%s is booked", free)
		}
	}
	ones, bits := subnet.Mask.Size()
	ip := &ipam.IP{ID: a.id(), Address: scw.IPNet{IPNet: net.IPNet{IP: free.AsSlice(), Mask: net.CIDRMask(ones, bits)}}, ProjectID: req.ProjectID,
		Source: req.Source, Tags: req.Tags, Region: Region}
	a.booked = append(a.booked, ip)
	return ip, nil
}

func (a *API) taken(addr netip.Addr) bool {
	return slices.ContainsFunc(a.booked, func(ip *ipam.IP) bool { return ip.Address.IP.Equal(net.IP(addr.AsSlice())) })
}

func (a *API) free(subnet scw.IPNet) netip.Addr {
	addr, _ := netip.AddrFromSlice(subnet.IP)
	for addr = addr.Unmap().Next().Next(); a.taken(addr); addr = addr.Next() {
	}
	return addr
}

func (a *API) release(r *http.Request) (any, error) {
	i, ok := find(a.booked, r.PathValue("id"), bookedID)
	if !ok {
		return nil, refuse(http.StatusNotFound, "not_found", "resource is not found")
	}
	if a.booked[i].Resource != nil {
		return nil, refuse(http.StatusPreconditionFailed, "precondition_failed", "the address is attached")
	}
	a.booked = slices.Delete(a.booked, i, i+1)
	return nil, nil
}
