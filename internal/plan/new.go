package plan

import (
	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// New decides everything that c leaves open. c is decoded, defaulted and valid;
// problems that show only in derived values (an address taken twice, a window too
// short for its nodes) come back in the report with their path, and the plan is
// then incomplete and must not be used.
func New(c *spec.Cluster, f Facts) (*Plan, report.Report) {
	var r report.Report
	sizes := sizesOf(c, f)
	p := &Plan{
		Cluster:    c.Name,
		OS:         osOf(c.OS, c.Arch),
		Ingress:    Ingress{HTTP: c.Ingress.Ports.HTTP, HTTPS: c.Ingress.Ports.HTTPS},
		Addons:     addonsOf(c.Addons),
		LatestBoot: f.LatestBoot,
	}
	p.Platform = platformOf(c, p.OS, &r)
	p.Network = networkOf(c, &r)
	p.Endpoint = endpointOf(c, p.Network)
	p.Roles = rolesOf(sizes)
	p.Nodes = nodesOf(c, sizes, p.Network, &r)
	p.Operators = operatorsOf(c, p.Network, p.Endpoint, &r)
	checkNames(c, p, &r)
	checkAddresses(c, p, &r)
	connect(c, sizes, p, &r)
	setWindows(c, sizes, p.Nodes, &r)
	p.Network.VRRPID, p.Network.VRRPIDProxy = vrrpIDs(c, sizes)
	p.Kubernetes = kubernetesOf(c, &r)
	p.Images = imagesOf(p.Kubernetes)
	p.Etcd = etcdOf(c, sizes, p.Nodes)
	checkFounders(c, f, &r)
	p.Kubernetes.Flags = flagsOf(c, p)
	p.Settings = settingsOf(c, p)
	p.Ports = portsOf(p)
	p.Certificates = certificatesOf(c, p)
	p.Keys = keysOf(c, f, p, &r)
	p.Notes = notesOf(c, f, sizes, p)
	r.Sort()
	return p, r
}
