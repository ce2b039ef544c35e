package profiles

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

const (
	kubeletConfigPath = "/var/lib/kubelet/config.yaml"
	kubeletEnvPath    = "/etc/imgforge/kubelet.env"
	kubeletUnitPath   = "/etc/systemd/system/kubelet.service"
)

// cipherSuites are the TLS 1.2 suites with forward secrecy and authenticated
// encryption (CIS 1.2.29, 4.2.12); those of TLS 1.3 cannot be chosen and are all fine.
func cipherSuites() []string {
	return []string{
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	}
}

// taint is a Kubernetes taint as KubeletConfiguration spells it.
type taint struct {
	Key    string `json:"key"`
	Value  string `json:"value,omitempty"`
	Effect string `json:"effect"`
}

func sharedKubelet(s *shared) error {
	taints := []taint{}
	for _, t := range s.role.Taints {
		taints = append(taints, taint(t))
	}
	k := s.plan.Kubernetes
	config, err := render("common/kubelet-config.yaml", map[string]any{
		"CipherSuites": cipherSuites(), "DNSIP": k.DNSIP, "ClusterDomain": k.ClusterDomain, "MaxPods": k.MaxPods, "Taints": taints,
	})
	if err != nil {
		return err
	}
	s.directory(manifestDir, 0o700)
	s.directory("/var/lib/kubelet", 0o700)
	s.directory("/var/lib/kubelet/volumeplugins", 0o755)
	s.file(artifact.File{Path: kubeletConfigPath, Mode: 0o600, Contents: []byte(config)})
	if err := s.kubeletUnit(); err != nil {
		return err
	}
	return s.registryCredentials()
}

// kubeletUnit places the unit as a file of its own mode (CIS 4.1.1), which a
// unit of a payload cannot have, and only enables it as a unit.
func (s *shared) kubeletUnit() error {
	flags := s.plan.Kubernetes.Flags["kubelet"]
	if len(flags) == 0 {
		return fmt.Errorf("the plan has no flags for the kubelet")
	}
	command := []string{"/usr/bin/kubelet"}
	for _, f := range flags {
		command = append(command, systemdArgument("--"+f.Name+"="+f.Value))
	}
	text, err := render("common/kubelet.service", map[string]any{
		"Requires": s.kubeletNeeds(), "Wants": []string{unitMesh, unitTime},
		"Command": append(command, "--node-labels=${LABELS}"), "Floats": s.isMaster() && s.floats(),
	})
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: kubeletUnitPath, Mode: 0o600, Contents: []byte(text)})
	// A sysext or package may bring kubeadm's drop-in, which would replace the
	// command: the same name in /etc hides it.
	s.file(artifact.File{Path: kubeletUnitPath + ".d/10-kubeadm.conf", Mode: 0o600, Contents: []byte("# Hides the drop-in of this name under /usr.\n")})
	s.unit(payload.Unit{Name: unitKubelet, Enabled: new(true), Dropins: proxyDropin(s.plan.Settings)})
	return nil
}

// kubeletNeeds are the units without which it must not start.
func (s *shared) kubeletNeeds() []string {
	units := []string{unitClaim, unitFirewall, unitContainerd}
	if s.isMaster() {
		units = append(units, unitGuard)
	}
	return append(units, s.diskUnits()...)
}

// ownKubelet tells the shared unit who the node is. Labels that a kubelet may not
// give itself never get here: the cluster file refuses them.
func ownKubelet(o *own) error {
	var labels []string
	for _, key := range slices.Sorted(maps.Keys(o.node.Labels)) {
		labels = append(labels, key+"="+o.node.Labels[key])
	}
	text := fmt.Sprintf("NODE=%s\nADDRESS=%s\nLABELS=%s\n", o.node.Name, o.node.Address, strings.Join(labels, ","))
	o.file(artifact.File{Path: kubeletEnvPath, Mode: 0o600, Contents: []byte(text)})
	return nil
}

// registryCredentials go to the kubelet, which hands them to containerd with each
// pull: containerd's own setting for them is deprecated and its hosts.toml cannot
// answer a registry that asks for a token.
func (s *shared) registryCredentials() error {
	type auth struct {
		Auth string `json:"auth"`
	}
	auths := map[string]auth{}
	for _, r := range s.plan.Settings.Registries {
		if r.SecretKey == "" {
			continue
		}
		password, err := s.secrets.Secret(r.SecretKey)
		if err != nil {
			return err
		}
		auths[r.Host] = auth{base64.StdEncoding.EncodeToString([]byte(r.Username + ":" + strings.TrimRight(string(password), "\n")))}
	}
	if len(auths) == 0 {
		return nil
	}
	text, err := toJSON(map[string]any{"auths": auths})
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: "/var/lib/kubelet/config.json", Mode: 0o600, Contents: []byte(text + "\n"), Secret: true})
	return nil
}

// systemdArgument quotes one word of a command line. The words ${NODE} and
// ${ADDRESS} stay variables, which the unit's environment file sets.
func systemdArgument(s string) string {
	return systemdWord(strings.NewReplacer("${NODE}", "${NODE}", "${ADDRESS}", "${ADDRESS}", "$", "$$", "%", "%%").Replace(s))
}

// systemdWord quotes a value where systemd expands nothing, as in an environment file.
func systemdWord(s string) string {
	if !strings.ContainsAny(s, " \t\n'\";#\\") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// proxyDropin makes a unit use the cluster's HTTP proxy.
func proxyDropin(s plan.Settings) []payload.Dropin {
	if s.HTTPProxy == "" && s.HTTPSProxy == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString("[Service]\n")
	for _, v := range [][2]string{{"HTTP_PROXY", s.HTTPProxy}, {"HTTPS_PROXY", s.HTTPSProxy}, {"NO_PROXY", strings.Join(s.NoProxy, ",")}} {
		if v[1] != "" {
			fmt.Fprintf(&b, "Environment=%s\n", systemdWord(strings.ReplaceAll(v[0]+"="+v[1], "%", "%%")))
		}
	}
	return []payload.Dropin{{Name: "20-http-proxy.conf", Contents: b.String()}}
}
