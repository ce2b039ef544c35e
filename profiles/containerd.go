package profiles

import (
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// certsDir is where containerd looks up how to reach a registry.
const certsDir = "/etc/containerd/certs.d"

// sharedContainerd brings a configuration and a unit of its own: the
// configurations that systems ship are of the old version 2, name another
// sandbox image, or are found through an environment variable.
func sharedContainerd(s *shared) error {
	config, err := render("common/containerd.toml", s.plan.Images)
	if err != nil {
		return err
	}
	unit, err := render("common/containerd.service", map[string]string{"Claim": unitClaim})
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: "/etc/containerd/config.toml", Mode: 0o600, Contents: []byte(config)})
	s.unit(payload.Unit{Name: unitContainerd, Enabled: new(true), Contents: unit, Dropins: proxyDropin(s.plan.Settings)})
	return s.registries()
}

// registries says for each registry which mirrors come first and what to trust.
func (s *shared) registries() error {
	for _, r := range s.plan.Settings.Registries {
		dir := certsDir + "/" + hostDirectory(r.Host)
		hosts := struct {
			Server, CA string
			Mirrors    []string
		}{Server: registryURL(r.Host), Mirrors: r.Mirrors}
		if r.CA != "" {
			hosts.CA = dir + "/ca.crt"
			s.file(artifact.File{Path: hosts.CA, Mode: 0o644, Contents: []byte(strings.TrimSpace(r.CA) + "\n")})
		}
		text, err := render("common/hosts.toml", hosts)
		if err != nil {
			return err
		}
		s.file(artifact.File{Path: dir + "/hosts.toml", Mode: 0o644, Contents: []byte(text)})
	}
	return nil
}

// hostDirectory is containerd's own name of a registry's folder: host:port is
// host_port_, which needs no quoting anywhere.
func hostDirectory(host string) string {
	if i := strings.LastIndex(host, ":"); i > 0 {
		return host[:i] + "_" + host[i+1:] + "_"
	}
	return host
}

// registryURL is where a registry answers. Docker's does so under another name.
func registryURL(host string) string {
	if host == "docker.io" {
		host = "registry-1.docker.io"
	}
	return "https://" + host
}
