package scaleway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/block/v1"
	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/api/ipam/v1"
	"github.com/scaleway/scaleway-sdk-go/api/vpc/v2"
	"github.com/scaleway/scaleway-sdk-go/scw"
)

// Observe looks at all that concerns the cluster. Of addresses without its tag it
// sees those that the cluster names.
func (c *Client) Observe(ctx context.Context, cluster *Cluster) (*Observed, error) {
	look := &looking{Client: c, ctx: ctx, cluster: cluster, tag: ClusterTag + cluster.Name}
	for _, step := range []struct {
		what string
		look func() error
	}{
		{"private networks", look.networks}, {"booked addresses", look.addresses}, {"security groups", look.groups},
		{"placement groups", look.placements}, {"flexible IPs", look.ips}, {"volumes", look.volumes}, {"servers", look.servers},
	} {
		if err := step.look(); err != nil {
			return nil, fmt.Errorf("list %s: %w", step.what, err)
		}
	}
	return &look.seen, nil
}

type looking struct {
	*Client
	ctx     context.Context
	cluster *Cluster
	tag     string
	seen    Observed
}

// ours checks the tag here too: what a filter lets through decides what is deleted.
func (l *looking) ours(tags []string) bool { return slices.Contains(tags, l.tag) }

func (l *looking) networks() error {
	res, err := l.vpc.ListPrivateNetworks(&vpc.ListPrivateNetworksRequest{Region: l.region, ProjectID: &l.project}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, n := range res.PrivateNetworks {
		switch {
		case l.ours(n.Tags):
			l.seen.Networks = append(l.seen.Networks, Network{ID: n.ID, Name: n.Name})
		case n.Name == l.cluster.Network:
			l.seen.Namesakes = append(l.seen.Namesakes, n.ID)
		}
	}
	return nil
}

func (l *looking) addresses() error {
	res, err := l.ipam.ListIPs(&ipam.ListIPsRequest{Region: l.region, ProjectID: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, ip := range res.IPs {
		if l.ours(ip.Tags) {
			l.seen.Addresses = append(l.seen.Addresses, seenAddress(ip))
		}
	}
	return nil
}

func seenAddress(ip *ipam.IP) Address {
	a, _ := netip.AddrFromSlice(ip.Address.IP)
	return Address{ID: ip.ID, Address: a.Unmap(), Node: tagged(ip.Tags, NodeTag), VIP: tagged(ip.Tags, useTag) == "vip"}
}

func (l *looking) groups() error {
	res, err := l.instance.ListSecurityGroups(&instance.ListSecurityGroupsRequest{Zone: l.zone, Project: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, g := range res.SecurityGroups {
		if !l.ours(g.Tags) {
			continue
		}
		rules, err := l.instance.ListSecurityGroupRules(&instance.ListSecurityGroupRulesRequest{Zone: l.zone, SecurityGroupID: g.ID}, all(l.ctx)...)
		if absent(err) {
			continue
		}
		if err != nil {
			return err
		}
		l.seen.Groups = append(l.seen.Groups, SeenGroup{ID: g.ID, Role: tagged(g.Tags, RoleTag), Rules: seenRules(rules.Rules)})
	}
	return nil
}

// seenRules are the rules that let something in; those that nobody may edit are the
// provider's own.
func seenRules(rules []*instance.SecurityGroupRule) []Rule {
	var out []Rule
	for _, r := range rules {
		if !r.Editable || r.Direction != instance.SecurityGroupRuleDirectionInbound {
			continue
		}
		rule := Rule{Proto: string(r.Protocol)}
		if r.DestPortFrom != nil {
			rule.Port = *r.DestPortFrom
		}
		if r.DestPortTo != nil && *r.DestPortTo != rule.Port {
			rule.To = *r.DestPortTo
		}
		if a, ok := netip.AddrFromSlice(r.IPRange.IP); ok {
			ones, _ := r.IPRange.Mask.Size()
			rule.From = netip.PrefixFrom(a.Unmap(), ones)
		}
		out = append(out, rule)
	}
	return out
}

func (l *looking) placements() error {
	res, err := l.instance.ListPlacementGroups(&instance.ListPlacementGroupsRequest{Zone: l.zone, Project: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, p := range res.PlacementGroups {
		if l.ours(p.Tags) {
			l.seen.Placements = append(l.seen.Placements, Placement{ID: p.ID})
		}
	}
	return nil
}

func (l *looking) ips() error {
	res, err := l.instance.ListIPs(&instance.ListIPsRequest{Zone: l.zone, Project: &l.project}, all(l.ctx)...)
	if err != nil {
		return err
	}
	named := []netip.Addr{l.cluster.EdgeIP}
	for _, n := range l.cluster.Nodes {
		named = append(named, n.PublicIP)
	}
	for _, ip := range res.IPs {
		seen := seenIP(ip, l.ours(ip.Tags))
		if seen.Ours || slices.Contains(named, seen.Address) {
			l.seen.IPs = append(l.seen.IPs, seen)
		}
	}
	return nil
}

func seenIP(ip *instance.IP, ours bool) FlexibleIP {
	a, _ := netip.AddrFromSlice(ip.Address)
	out := FlexibleIP{ID: ip.ID, Address: a.Unmap(), Ours: ours}
	if ip.Server != nil {
		out.Server = ip.Server.ID
	}
	return out
}

func (l *looking) volumes() error {
	res, err := l.block.ListVolumes(&block.ListVolumesRequest{Zone: l.zone, ProjectID: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, v := range res.Volumes {
		if l.ours(v.Tags) && v.Status != block.VolumeStatusDeleted {
			l.seen.Volumes = append(l.seen.Volumes, seenVolume(v))
		}
	}
	return nil
}

func seenVolume(v *block.Volume) Volume {
	out := Volume{ID: v.ID, Name: v.Name, Node: tagged(v.Tags, NodeTag)}
	for _, r := range v.References {
		if r.ProductResourceType == "instance_server" {
			out.Server = r.ProductResourceID
		}
	}
	return out
}

func (l *looking) servers() error {
	res, err := l.instance.ListServers(&instance.ListServersRequest{Zone: l.zone, Project: &l.project, Tags: []string{l.tag}}, all(l.ctx)...)
	if err != nil {
		return err
	}
	for _, s := range res.Servers {
		if !l.ours(s.Tags) {
			continue
		}
		seen := seenServer(s)
		seen.RootTagged = slices.ContainsFunc(l.seen.Volumes, func(v Volume) bool { return v.ID == seen.Root })
		if seen.stopped() {
			if seen.UserData, err = l.userData(l.ctx, s.ID); err != nil {
				return err
			}
		}
		if l.cluster.booted(&seen) {
			if seen.Kept, err = l.keeps(l.ctx, s.ID); err != nil {
				return err
			}
		}
		l.seen.Servers = append(l.seen.Servers, seen)
	}
	return nil
}

func seenServer(s *instance.Server) Server {
	out := Server{ID: s.ID, Name: s.Name, Node: tagged(s.Tags, NodeTag), Role: tagged(s.Tags, RoleTag),
		State: string(s.State), Detail: s.StateDetail, NIC: len(s.PrivateNics) > 0}
	if root := s.Volumes["0"]; root != nil && root.VolumeType == instance.VolumeServerVolumeTypeSbsVolume {
		out.Root = root.ID
	}
	if s.CreationDate != nil {
		out.Made = *s.CreationDate
	}
	return out
}

// keeps tells whether a server has user-data, without reading it.
func (c *Client) keeps(ctx context.Context, server string) (bool, error) {
	res, err := c.instance.ListServerUserData(&instance.ListServerUserDataRequest{Zone: c.zone, ServerID: server}, scw.WithContext(ctx))
	if absent(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.Contains(res.UserData, UserDataKey), nil
}

// userData is the fingerprint of what a server boots from, "" when there is none.
func (c *Client) userData(ctx context.Context, server string) (string, error) {
	r, err := c.instance.GetServerUserData(&instance.GetServerUserDataRequest{Zone: c.zone, ServerID: server, Key: UserDataKey}, scw.WithContext(ctx))
	if absent(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var data bytes.Buffer
	if _, err := io.Copy(&data, r); err != nil {
		return "", err
	}
	return sum(data.Bytes()), nil
}
