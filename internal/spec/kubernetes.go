package spec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Minors lists the Kubernetes minors whose flags and images this imgforge
// knows, oldest first.
func Minors() []int { return []int{34, 35, 36} }

func minorList() string {
	out := []string{}
	for _, m := range Minors() {
		out = append(out, "1."+strconv.Itoa(m))
	}
	return choice(out)
}

func versionForm(s string) (message, fix string) {
	known := "write a version of " + minorList() + ", which this imgforge knows"
	m := regexp.MustCompile(`^(v?)(0|[1-9]\d{0,3})\.(0|[1-9]\d{0,3})(?:\.(0|[1-9]\d{0,3}))?([-+].*)?$`).FindStringSubmatch(s)
	if m == nil {
		return quote(s) + " is not a Kubernetes version", "write major.minor.patch, as in 1.36.3"
	}
	minor, _ := strconv.Atoi(m[3])
	switch {
	case m[2] != "1" || !slices.Contains(Minors(), minor):
		return fmt.Sprintf("Kubernetes %s.%s is not supported", m[2], m[3]), known
	case m[5] != "":
		return quote(s) + " is a pre-release or a build", "write a release, as in 1." + m[3] + ".0"
	case m[4] == "":
		return quote(s) + " names no patch", "write all three numbers, as in 1." + m[3] + ".0"
	case m[1] != "":
		return quote(s) + " begins with v", "write " + strings.TrimPrefix(s, "v")
	}
	return "", ""
}

func (k *check) kubernetes() {
	if k.Kubernetes.ProxyMode == "ipvs" {
		k.warn("kubernetes.proxyMode", "ipvs is deprecated since Kubernetes 1.35 and will be removed", "write nftables")
	}
}

// flagForm is a flag's name without dashes in front.
var flagForm = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

func (k *check) extraArgs() {
	args := k.Kubernetes.ExtraArgs
	for _, c := range []struct {
		key, component string
		flags          map[string]string
	}{
		{"apiserver", "kube-apiserver", args.APIServer},
		{"controllerManager", "kube-controller-manager", args.ControllerManager},
		{"scheduler", "kube-scheduler", args.Scheduler},
		{"etcd", "etcd", args.Etcd},
		{"kubelet", "kubelet", args.Kubelet},
	} {
		for name := range c.flags {
			path := "kubernetes.extraArgs." + c.key + "." + name
			switch bare := strings.TrimLeft(name, "-"); {
			case bare != name && bare != "":
				k.err(path, quote(name)+" has dashes in front", "write "+bare)
			case !flagForm.MatchString(name):
				k.err(path, quote(name)+" is not the name of a flag", "write it as `"+c.component+" --help` does, without the dashes in front")
			case ReservedFlag(c.component, name):
				k.err(path, "imgforge sets --"+name+" of "+c.component+" itself", flagRemedy(name))
			}
		}
	}
}

// flagRemedy names the field that decides a reserved flag, where there is one.
func flagRemedy(name string) string {
	fields := map[string]string{
		"service-cluster-ip-range": "kubernetes.serviceCIDR", "cluster-cidr": "kubernetes.podCIDR", "max-pods": "kubernetes.maxPods",
		"secure-port": "endpoint.port for the port people use", "node-labels": "roles.<role>.labels", "register-with-taints": "roles.<role>.taints",
		"cluster-domain": "kubernetes.clusterDomain", "hostname-override": "roles.<role>.nodes[].name", "node-ip": "roles.<role>.nodes[].address",
	}
	switch f := fields[name]; {
	case f != "":
		return "remove it and set " + f
	case strings.HasPrefix(name, "oidc-"):
		return "remove it and set oidc"
	}
	return "remove it"
}
