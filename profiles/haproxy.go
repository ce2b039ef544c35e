package profiles

import (
	"fmt"
	"slices"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

const (
	haproxyDir = "/etc/imgforge/haproxy"
	// haproxyUID is the user and group of the upstream image.
	haproxyUID = 99
)

// haproxyConf fills common/haproxy.cfg.tmpl.
type haproxyConf struct {
	MaxConn   int
	DropTo    int // user and group to become; 0: the container already runs as them
	AlivePort int
	API       *haproxyAPI
	Ingress   []haproxyIngress
}

// haproxyAPI forwards the endpoint to the API servers.
type haproxyAPI struct {
	Bind, CA string
	Every    string
	Servers  []haproxyServer
}

// haproxyIngress forwards a public port to a NodePort of the workers.
type haproxyIngress struct {
	Name    string
	Port    int
	Every   string
	Plain   bool // HTTP, in which a missing ingress can be told in words
	Servers []haproxyServer
}

type haproxyServer struct {
	Name, Address string
	Port          int
}

// haproxyPod fills common/haproxy-pod.yaml.tmpl.
type haproxyPod struct {
	Image, Dir, Config, CA string
	SELinux                string
	UID, AlivePort         int
	Capabilities           []string
}

// sharedHAProxy adds haproxy where the role serves the endpoint or the edge. It
// is the same on every node of a role: nothing in it depends on who runs it.
func sharedHAProxy(s *shared) error {
	conf, runs := newHAProxy(s.plan, s.role.Name)
	if !runs {
		return nil
	}
	if err := s.fill(haproxyDir+"/haproxy.cfg", 0o644, "common/haproxy.cfg", conf); err != nil {
		return err
	}
	pod := haproxyPod{
		Image: s.plan.Images.HAProxy, Dir: haproxyDir, Config: haproxyDir + "/haproxy.cfg",
		UID: haproxyUID, AlivePort: artifact.HAProxyAlivePort, SELinux: s.podType(),
	}
	if conf.API != nil {
		pod.CA = caPath
	}
	if conf.DropTo != 0 {
		// A capability of a process that is not root is lost when it executes
		// haproxy, so haproxy starts as root, binds, and becomes its user by itself.
		pod.UID, pod.Capabilities = 0, []string{"NET_BIND_SERVICE", "SETGID", "SETUID"}
	}
	return s.fill(manifestDir+"/haproxy.yaml", 0o600, "common/haproxy-pod.yaml", pod)
}

// newHAProxy decides what haproxy does on a role, and whether it runs there.
func newHAProxy(p *plan.Plan, role string) (haproxyConf, bool) {
	conf := haproxyConf{MaxConn: 4000, AlivePort: artifact.HAProxyAlivePort}
	if bind, ok := apiBind(p, role); ok {
		masters := p.NodesOf("master")
		conf.API = &haproxyAPI{
			Bind: bind, CA: caPath, Every: checkEvery(haproxies(p)),
			Servers: servers(masters, p.Endpoint.APIServerPort),
		}
	}
	if role == "proxy" {
		workers := p.NodesOf("worker")
		every := checkEvery(len(workers))
		conf.MaxConn, conf.DropTo = 20000, haproxyUID
		conf.Ingress = []haproxyIngress{
			{Name: "ingress_http", Port: 80, Every: every, Plain: true, Servers: servers(workers, p.Ingress.HTTP)},
			{Name: "ingress_https", Port: 443, Every: every, Servers: servers(workers, p.Ingress.HTTPS)},
		}
	}
	return conf, conf.API != nil || len(conf.Ingress) > 0
}

// apiBind is where haproxy takes API connections on a role: on every address
// where the firewall lets anybody in, else on loopback where the role's own
// components use it.
func apiBind(p *plan.Plan, role string) (string, bool) {
	open := slices.ContainsFunc(p.Ports, func(o plan.Port) bool {
		return o.Role == role && o.Proto == "tcp" && o.Port == p.Endpoint.Port
	})
	switch {
	case open:
		return fmt.Sprintf("*:%d", p.Endpoint.Port), true
	case p.Endpoint.Mode == "local":
		return fmt.Sprintf("127.0.0.1:%d", p.Endpoint.Port), true
	}
	return "", false
}

// haproxies counts the nodes whose haproxy asks every API server for its health.
func haproxies(p *plan.Plan) int {
	count := 0
	for _, r := range p.Roles {
		if _, ok := apiBind(p, r.Name); ok {
			count += r.Slots
		}
	}
	return count
}

// checkEvery is the interval of health checks when that many of them arrive, or
// leave, at one place: never more than 50 a second there, and never more often
// than each 2 s. A connection that fails speeds its server's checks up at once.
func checkEvery(checkers int) string {
	const perSecond = 50
	return max(2*time.Second, (time.Duration(checkers) * time.Second / perSecond).Truncate(time.Second)).String()
}

func servers(nodes []plan.Node, port int) []haproxyServer {
	out := make([]haproxyServer, 0, len(nodes))
	for _, n := range nodes {
		out = append(out, haproxyServer{n.Name, n.Address, port})
	}
	return out
}
