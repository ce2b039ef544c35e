package fake

import (
	"net/http"
	"slices"

	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
)

func groupID(g *instance.SecurityGroup) string      { return g.ID }
func placementID(p *instance.PlacementGroup) string { return p.ID }

func (a *API) handleGroups() {
	const groups, placements = "/instance/v1/zones/{zone}/security_groups", "/instance/v1/zones/{zone}/placement_groups"
	a.handle("GET "+groups, func(r *http.Request) (any, error) {
		return list(a, r, "security_groups", a.groups, groupID, func(g *instance.SecurityGroup) []string { return g.Tags })
	})
	a.handle("POST "+groups, a.createGroup)
	a.handle("DELETE "+groups+"/{id}", a.deleteGroup)
	a.handle("GET "+groups+"/{id}/rules", func(r *http.Request) (any, error) {
		if _, ok := find(a.groups, r.PathValue("id"), groupID); !ok {
			return nil, unknown("Security group", r.PathValue("id"))
		}
		rules, page := a.rules[r.PathValue("id")], r.URL.Query().Get("page")
		if page != "1" {
			return listing{total: len(rules), page: map[string]any{"rules": []any{}}}, nil
		}
		return listing{total: len(rules), page: map[string]any{"rules": rules}}, nil
	})
	a.handle("PUT "+groups+"/{id}/rules", a.setRules)
	a.handle("GET "+placements, func(r *http.Request) (any, error) {
		return list(a, r, "placement_groups", a.placements, placementID, func(p *instance.PlacementGroup) []string { return p.Tags })
	})
	a.handle("POST "+placements, a.createPlacement)
	a.handle("DELETE "+placements+"/{id}", a.deletePlacement)
}

func (a *API) createGroup(r *http.Request) (any, error) {
	var req instance.CreateSecurityGroupRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(req.Project); err != nil {
		return nil, err
	}
	g := &instance.SecurityGroup{ID: a.id(), Name: req.Name, Project: Project, Tags: req.Tags, Stateful: req.Stateful, Zone: Zone,
		InboundDefaultPolicy: req.InboundDefaultPolicy, OutboundDefaultPolicy: req.OutboundDefaultPolicy}
	a.groups = append(a.groups, g)
	return map[string]any{"security_group": g}, nil
}

func (a *API) setRules(r *http.Request) (any, error) {
	var req instance.SetSecurityGroupRulesRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	if _, ok := find(a.groups, id, groupID); !ok {
		return nil, unknown("Security group", id)
	}
	rules := []*instance.SecurityGroupRule{}
	for _, rule := range req.Rules {
		rules = append(rules, &instance.SecurityGroupRule{ID: a.id(), Protocol: rule.Protocol, Direction: rule.Direction, Action: rule.Action,
			IPRange: rule.IPRange, DestPortFrom: rule.DestPortFrom, DestPortTo: rule.DestPortTo, Position: rule.Position, Editable: true, Zone: Zone})
	}
	a.rules[id] = rules
	return map[string]any{"rules": rules}, nil
}

func (a *API) deleteGroup(r *http.Request) (any, error) {
	i, ok := find(a.groups, r.PathValue("id"), groupID)
	if !ok {
		return nil, unknown("Security group", r.PathValue("id"))
	}
	for _, s := range a.servers {
		if s.SecurityGroup != nil && s.SecurityGroup.ID == a.groups[i].ID {
			return nil, refuse(http.StatusBadRequest, "invalid_request_error", "group is in use, you cannot delete it")
		}
	}
	a.groups = slices.Delete(a.groups, i, i+1)
	return nil, nil
}

func (a *API) createPlacement(r *http.Request) (any, error) {
	var req instance.CreatePlacementGroupRequest
	if err := body(r, &req); err != nil {
		return nil, err
	}
	if err := project(req.Project); err != nil {
		return nil, err
	}
	p := &instance.PlacementGroup{ID: a.id(), Name: req.Name, Project: Project, Tags: req.Tags, PolicyMode: req.PolicyMode, PolicyType: req.PolicyType, Zone: Zone}
	a.placements = append(a.placements, p)
	return map[string]any{"placement_group": p}, nil
}

func (a *API) deletePlacement(r *http.Request) (any, error) {
	i, ok := find(a.placements, r.PathValue("id"), placementID)
	if !ok {
		return nil, unknown("Placement group", r.PathValue("id"))
	}
	a.placements = slices.Delete(a.placements, i, i+1)
	return nil, nil
}
