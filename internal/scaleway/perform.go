package scaleway

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// work is one cluster on its way: what is wanted, what is known to exist, and what
// this run made and removed itself, which lists may show late.
type work struct {
	*Client
	cluster *Cluster
	watch   func(context.Context, *Cluster) (*Observed, error)
	plan    func(*Observed) ([]Change, error)
	seen    *Observed
	made    map[string]bool // IDs
	gone    map[string]bool
	touched map[string]bool // what this run changed, or tried to
	pause   func(context.Context, int) error
}

// perform carries out one change and notes in w.seen what came of it.
func (w *work) perform(ctx context.Context, c Change) error {
	with := scw.WithContext(ctx)
	switch c.Kind {
	case CreateNetwork:
		return w.createNetwork(c, with)
	case CreateGroup:
		return w.createGroup(c, with)
	case SetRules:
		return w.setRules(c, with)
	case CreatePlacement:
		return w.createPlacement(c, with)
	case BookAddress:
		return w.bookAddress(c, with)
	case CreateIP:
		return w.createIP(with)
	case CreateVolume:
		return w.createVolume(c, with)
	case AttachIP:
		return w.attachIP(c, with)
	case CreateServer, TagRoot, AttachVolume, CreateNIC, SetUserData, DeleteUserData, PowerOn, PowerOff, AwaitRunning, AwaitStable, AwaitStopped:
		return w.performServer(ctx, c)
	}
	return w.remove(ctx, c)
}

func (w *work) tags(more ...string) []string {
	return append([]string{ClusterTag + w.cluster.Name}, more...)
}

func (w *work) createNetwork(c Change, with scw.RequestOption) error {
	req := &vpc.CreatePrivateNetworkRequest{Region: w.region, Name: c.Name, ProjectID: w.project, Tags: w.tags(),
		DefaultRoutePropagationEnabled: w.cluster.Egress == EgressGateway}
	if s := w.cluster.Subnet; s.IsValid() {
		req.Subnets = []scw.IPNet{ipNet(s)}
	}
	n, err := w.vpc.CreatePrivateNetwork(req, with)
	if err != nil {
		return err
	}
	w.made[n.ID] = true
	w.seen.Networks = append(w.seen.Networks, Network{ID: n.ID, Name: n.Name})
	return nil
}

func (w *work) createGroup(c Change, with scw.RequestOption) error {
	res, err := w.instance.CreateSecurityGroup(&instance.CreateSecurityGroupRequest{Zone: w.zone, Name: c.Name, Project: &w.project,
		Description: "imgforge: the public interface of role " + c.Of, Tags: w.tags(RoleTag + c.Of), Stateful: true,
		InboundDefaultPolicy: instance.SecurityGroupPolicyDrop, OutboundDefaultPolicy: instance.SecurityGroupPolicyAccept}, with)
	if err != nil {
		return err
	}
	w.made[res.SecurityGroup.ID] = true
	w.seen.Groups = append(w.seen.Groups, SeenGroup{ID: res.SecurityGroup.ID, Role: c.Of})
	return nil
}

func (w *work) setRules(c Change, with scw.RequestOption) error {
	g, _ := w.cluster.group(c.Of)
	seen := w.seen.group(c.Of)
	req := &instance.SetSecurityGroupRulesRequest{Zone: w.zone, SecurityGroupID: seen.ID, Rules: []*instance.SetSecurityGroupRulesRequestRule{}}
	for i, r := range g.Rules {
		rule := &instance.SetSecurityGroupRulesRequestRule{Action: instance.SecurityGroupRuleActionAccept, Protocol: instance.SecurityGroupRuleProtocol(r.Proto),
			Direction: instance.SecurityGroupRuleDirectionInbound, IPRange: ipNet(r.From), DestPortFrom: &r.Port, Position: uint32(i + 1), Editable: scw.BoolPtr(true), Zone: &w.zone}
		if r.To > r.Port {
			rule.DestPortTo = &r.To
		}
		req.Rules = append(req.Rules, rule)
	}
	if _, err := w.instance.SetSecurityGroupRules(req, with); err != nil {
		return err
	}
	seen.Rules = g.Rules
	return nil
}

func (w *work) createPlacement(c Change, with scw.RequestOption) error {
	res, err := w.instance.CreatePlacementGroup(&instance.CreatePlacementGroupRequest{Zone: w.zone, Name: c.Name, Project: &w.project, Tags: w.tags(),
		PolicyMode: instance.PlacementGroupPolicyModeEnforced, PolicyType: instance.PlacementGroupPolicyTypeMaxAvailability}, with)
	if err != nil {
		return err
	}
	w.made[res.PlacementGroup.ID] = true
	w.seen.Placements = append(w.seen.Placements, Placement{ID: res.PlacementGroup.ID})
	return nil
}

// bookAddress books from the private network without naming a resource: the API
// refuses that for servers, and the interface is made with the booked address later.
func (w *work) bookAddress(c Change, with scw.RequestOption) error {
	want, tags := w.cluster.VIP, w.tags(useTag+"vip")
	if n, ok := w.cluster.node(c.Of); ok {
		want, tags = n.Address, w.cluster.Tags(n)
	}
	req := &ipam.BookIPRequest{Region: w.region, ProjectID: w.project, Source: &ipam.Source{PrivateNetworkID: &w.seen.Networks[0].ID}, Tags: tags}
	if want.IsValid() {
		ip := net.IP(want.AsSlice())
		req.Address = &ip
	}
	ip, err := w.ipam.BookIP(req, with)
	if err != nil {
		return err
	}
	w.made[ip.ID] = true
	w.seen.Addresses = append(w.seen.Addresses, seenAddress(ip))
	return nil
}

func (w *work) createIP(with scw.RequestOption) error {
	res, err := w.instance.CreateIP(&instance.CreateIPRequest{Zone: w.zone, Project: &w.project, Type: instance.IPTypeRoutedIPv4,
		Tags: w.tags(RoleTag+w.cluster.Edge, useTag+"edge")}, with)
	if err != nil {
		return err
	}
	w.made[res.IP.ID] = true
	w.seen.IPs = append(w.seen.IPs, seenIP(res.IP, true))
	return nil
}

func (w *work) attachIP(c Change, with scw.RequestOption) error {
	ip := w.seen.ourIP()
	for i := range w.seen.IPs {
		if w.seen.IPs[i].ID == c.ID {
			ip = &w.seen.IPs[i]
		}
	}
	s := w.seen.server(c.Of)
	_, err := w.instance.UpdateIP(&instance.UpdateIPRequest{Zone: w.zone, IP: ip.ID, Server: &instance.NullableStringValue{Value: s.ID}}, with)
	if err != nil {
		return err
	}
	ip.Server = s.ID
	return nil
}

func (w *work) createVolume(c Change, with scw.RequestOption) error {
	n, _ := w.cluster.node(c.Of)
	v, err := w.block.CreateVolume(&block.CreateVolumeRequest{Zone: w.zone, Name: c.Name, ProjectID: w.project, Tags: w.cluster.Tags(n),
		FromEmpty: &block.CreateVolumeRequestFromEmpty{Size: gigabytes(w.cluster.DataSize)}}, with)
	if err != nil {
		return err
	}
	w.made[v.ID] = true
	w.seen.Volumes = append(w.seen.Volumes, seenVolume(v))
	return nil
}

func gigabytes(n int) scw.Size { return scw.Size(n) * scw.GB }

func ipNet(p netip.Prefix) scw.IPNet {
	return scw.IPNet{IPNet: net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}

func rootName(node string) string { return node + "-root" }

// stray is a change that found nothing to act on: what exists was looked at wrongly.
func stray(c Change) error { return fmt.Errorf("there is no object for %q", c) }
