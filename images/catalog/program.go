package catalog

import (
	"fmt"
	"strings"
)

// Program is a published binary, or an archive of several.
type Program struct {
	Name    string
	Version string // without v
	URL     string
	// Sums is the URL of the list that holds its sha256, under File.
	Sums, File string
}

// Names of what [Programs] lists; kubernetes stands for kubelet and kubectl.
const (
	Kubernetes = "kubernetes"
	CNIPlugins = "cni-plugins"
	Crictl     = "crictl"
	Containerd = "containerd"
	Runc       = "runc"
)

// Versions is which version of what a cluster gets when nothing is pinned yet:
// the newest that was tried with the minor. A crictl is of its Kubernetes' minor.
func Versions(kubernetes string) map[string]string {
	minor := kubernetes
	if parts := strings.Split(kubernetes, "."); len(parts) == 3 {
		minor = parts[0] + "." + parts[1]
	}
	return map[string]string{Kubernetes: kubernetes, CNIPlugins: "1.9.1", Crictl: minor + ".0", Containerd: "2.2.5", Runc: "1.4.2"}
}

// Needs are the programs that nodes take besides what their system ships, sorted;
// with containerd, when it ships none that this Kubernetes can use.
func Needs(containerd bool) []string {
	if containerd {
		return []string{CNIPlugins, Containerd, Crictl, Kubernetes, Runc}
	}
	return []string{CNIPlugins, Crictl, Kubernetes}
}

// Programs are the files of one thing in one version.
func Programs(name, version, arch string) ([]Program, error) {
	switch name {
	case Kubernetes:
		var out []Program
		for _, binary := range [...]string{"kubectl", "kubelet"} {
			url := fmt.Sprintf("%s/v%s/bin/linux/%s/%s", kubernetesSite, version, arch, binary)
			out = append(out, Program{Name: binary, Version: version, URL: url, Sums: url + ".sha256", File: binary})
		}
		return out, nil
	case CNIPlugins:
		return archive(name, version, cniSite+"/v"+version, fmt.Sprintf("cni-plugins-linux-%s-v%s.tgz", arch, version), ".sha256"), nil
	case Crictl:
		return archive(name, version, criToolsSite+"/v"+version, fmt.Sprintf("crictl-v%s-linux-%s.tar.gz", version, arch), ".sha256"), nil
	case Containerd:
		return archive(name, version, containerdSite+"/v"+version, fmt.Sprintf("containerd-%s-linux-%s.tar.gz", version, arch), ".sha256sum"), nil
	case Runc:
		return []Program{{Name: name, Version: version, URL: fmt.Sprintf("%s/v%s/runc.%s", runcSite, version, arch),
			Sums: runcSite + "/v" + version + "/runc.sha256sum", File: "runc." + arch}}, nil
	}
	return nil, fmt.Errorf("the catalogue has no program %q", name)
}

func archive(name, version, dir, file, sums string) []Program {
	return []Program{{Name: name, Version: version, URL: dir + "/" + file, Sums: dir + "/" + file + sums, File: file}}
}
