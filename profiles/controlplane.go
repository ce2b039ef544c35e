package profiles

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// Where the control plane finds what it reads and writes. The flags of the plan
// name the same paths; a test compares them.
const (
	manifestDir        = "/etc/kubernetes/manifests"
	auditPolicyPath    = "/etc/kubernetes/audit-policy.yaml"
	encryptionPath     = "/etc/kubernetes/encryption.yaml"
	authenticationPath = "/etc/kubernetes/authentication.yaml"
	auditLogDir        = "/var/log/kubernetes/audit"
	etcdDataDir        = "/var/lib/etcd"
	// etcdManifestPath is out of the kubelet's sight: the node helper puts etcd's
	// manifest in place, with the members filled in, once it has decided which.
	etcdManifestPath = "/etc/imgforge/etcd/etcd.yaml"
)

// staticPod fills master/static-pod.yaml.tmpl.
type staticPod struct {
	Name, Image  string
	Command      []string
	ProbePort    int
	ProbeScheme  string
	Probes       []probe
	Requests     map[string]string
	Capabilities []string
	Mounts       []mount
	SELinux      string // type of its processes, or ""
}

type probe struct {
	Kind, Path              string
	Delay, Failures, Period int
}

// podType is the SELinux type of static pods where a policy is enforced. They read
// and write what belongs to the system, such as etcd's data, which the type of other
// containers may not; kubeadm has used this one for them.
func (s *scope) podType() string {
	if s.plan.OS.Family == "fcos" {
		return "spc_t"
	}
	return ""
}

// The probes are kubeadm's: a startup probe of four minutes, then a liveness
// probe that forgives eighty seconds, and a readiness probe every second.
func startup(path string) probe   { return probe{"startupProbe", path, 10, 24, 10} }
func liveness(path string) probe  { return probe{"livenessProbe", path, 10, 8, 10} }
func readiness(path string) probe { return probe{"readinessProbe", path, 0, 3, 1} }

// mount is a hostPath at the same path inside the pod. Its type makes the pod
// wait for what is missing rather than invent an empty folder in its place.
type mount struct {
	Name, Path, Type string
	ReadOnly         bool
}

// controlPlane lists the static pods without their commands and mounts, which
// follow from the flags of the plan.
func controlPlane(p *plan.Plan) []staticPod {
	return []staticPod{
		{
			Name: "etcd", Image: p.Images.Etcd, ProbePort: 2381, ProbeScheme: "HTTP",
			// Not kubeadm's /readyz, which needs a quorum: members that found together
			// would be killed while they wait for one another.
			Probes:   []probe{startup("/livez"), liveness("/livez"), readiness("/readyz")},
			Requests: map[string]string{"cpu": "100m", "memory": "100Mi"},
		},
		{
			Name: "kube-apiserver", Image: p.Images.APIServer, ProbePort: p.Endpoint.APIServerPort, ProbeScheme: "HTTPS",
			Probes:   []probe{startup("/livez"), liveness("/livez"), readiness("/readyz")},
			Requests: map[string]string{"cpu": "250m"},
			// The binary of the upstream image carries this file capability: without
			// it in the bounding set the kernel refuses to run the binary at all.
			Capabilities: []string{"NET_BIND_SERVICE"},
		},
		{
			Name: "kube-controller-manager", Image: p.Images.ControllerManager, ProbePort: 10257, ProbeScheme: "HTTPS",
			Probes:   []probe{startup("/healthz"), liveness("/healthz")},
			Requests: map[string]string{"cpu": "200m"},
		},
		{
			Name: "kube-scheduler", Image: p.Images.Scheduler, ProbePort: 10259, ProbeScheme: "HTTPS",
			Probes:   []probe{startup("/livez"), liveness("/livez"), readiness("/readyz")},
			Requests: map[string]string{"cpu": "100m"},
		},
	}
}

func sharedControlPlane(s *shared) error {
	if !s.isMaster() {
		return nil
	}
	s.directory(etcdDataDir, 0o700)
	s.directory(auditLogDir, 0o700)
	if err := s.controlPlaneConfigs(); err != nil {
		return err
	}
	for _, pod := range controlPlane(s.plan) {
		if perNode(s.plan, pod.Name) {
			continue
		}
		f, err := s.manifest(pod, plan.Node{})
		if err != nil {
			return err
		}
		s.file(f)
	}
	return nil
}

func ownControlPlane(o *own) error {
	if !o.isMaster() {
		return nil
	}
	for _, pod := range controlPlane(o.plan) {
		if !perNode(o.plan, pod.Name) {
			continue
		}
		f, err := o.manifest(pod, o.node)
		if err != nil {
			return err
		}
		o.file(f)
	}
	return nil
}

// controlPlaneConfigs adds the files that kube-apiserver's flags name.
func (s *shared) controlPlaneConfigs() error {
	key, err := s.secrets.Secret("encryption")
	if err != nil {
		return err
	}
	for _, c := range []struct {
		path, template string
		secret         bool
		data           any
	}{
		{auditPolicyPath, "master/audit-policy.yaml", false, nil},
		{authenticationPath, "master/authentication.yaml", false, s.plan.Settings},
		{encryptionPath, "master/encryption.yaml", true, map[string]string{"Key": strings.TrimSpace(string(key))}},
	} {
		text, err := render(c.template, c.data)
		if err != nil {
			return err
		}
		s.file(artifact.File{Path: c.path, Mode: 0o600, Contents: []byte(text), Secret: c.secret})
	}
	return nil
}

// perNode tells whether a component's flags differ between nodes.
func perNode(p *plan.Plan, component string) bool {
	return slices.ContainsFunc(p.Kubernetes.Flags[component], func(f plan.Flag) bool {
		return strings.Contains(f.Value, "${NODE}") || strings.Contains(f.Value, "${ADDRESS}")
	})
}

// manifest is the pod's file in the kubelet's static pod folder; etcd's lies apart.
func (s *scope) manifest(pod staticPod, n plan.Node) (artifact.File, error) {
	flags := s.plan.Kubernetes.Flags[pod.Name]
	if len(flags) == 0 {
		return artifact.File{}, fmt.Errorf("the plan has no flags for %s", pod.Name)
	}
	pod.Command = []string{pod.Name}
	fill := strings.NewReplacer("${NODE}", n.Name, "${ADDRESS}", n.Address)
	for _, f := range flags {
		pod.Command = append(pod.Command, "--"+f.Name+"="+fill.Replace(f.Value))
	}
	pod.Mounts = mounts(flags, s.kubeconfigs())
	pod.SELinux = s.podType()
	text, err := render("master/static-pod.yaml", pod)
	if err != nil {
		return artifact.File{}, err
	}
	at := manifestDir + "/" + pod.Name + ".yaml"
	if pod.Name == "etcd" {
		at = etcdManifestPath
	}
	return artifact.File{Path: at, Mode: 0o600, Contents: []byte(text)}, nil
}

// mounts are the host paths that flags name, and nothing else of the host: a
// component sees its own keys, not its neighbours'.
func mounts(flags []plan.Flag, kubeconfigs []kubeconfig) []mount {
	var out []mount
	add := func(m mount) {
		if !slices.ContainsFunc(out, func(o mount) bool { return o.Path == m.Path }) {
			m.Name = volumeName(m.Path)
			out = append(out, m)
		}
	}
	files := func(paths ...string) {
		for _, p := range paths {
			add(mount{Path: p, Type: "File", ReadOnly: true})
		}
	}
	for _, f := range flags {
		switch {
		case !path.IsAbs(f.Value) || f.Name == "authorization-always-allow-paths":
		case f.Name == "audit-log-path":
			add(mount{Path: path.Dir(f.Value), Type: "Directory"})
		case strings.HasSuffix(f.Name, "-dir"):
			add(mount{Path: f.Value, Type: "Directory"})
		default:
			files(f.Value)
		}
		for _, k := range kubeconfigs {
			if k.path() == f.Value {
				files(caPath, k.cert(), k.key())
			}
		}
	}
	slices.SortFunc(out, func(a, b mount) int { return strings.Compare(a.Path, b.Path) })
	return out
}

// maxLabel is the longest DNS label, which a volume's name is.
const maxLabel = 63

// volumeName is a path as a DNS label: /etc/kubernetes/pki/sa.key is pki-sa-key.
func volumeName(p string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, strings.TrimPrefix(p, "/etc/kubernetes/"))
	return strings.Trim(name[max(0, len(name)-maxLabel):], "-")
}
