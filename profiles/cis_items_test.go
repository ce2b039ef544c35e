package profiles

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/payload"
)

// cisItems is the table behind docs/cis.md, in the order of the benchmark.
func cisItems() []cisItem {
	return slices.Concat(cisFiles(), cisAPIServer(), cisControllers(), cisEtcd(), cisKubelet())
}

func cisFiles() []cisItem {
	var items []cisItem
	for i, m := range []struct{ component, title string }{
		{"kube-apiserver", "API server"}, {"kube-controller-manager", "controller manager"}, {"kube-scheduler", "scheduler"}, {"etcd", "etcd"},
	} {
		items = append(items,
			cisItem{id: fmt.Sprintf("1.1.%d", 2*i+1), title: "The " + m.title + " pod specification has mode 600", check: onMasters(mode(0o600, manifestOf(m.component)))},
			cisItem{id: fmt.Sprintf("1.1.%d", 2*i+2), title: "The " + m.title + " pod specification is owned by root:root", check: onMasters(ownedByRoot(manifestOf(m.component)))})
	}
	admin, scheduler, manager := "/etc/kubernetes/admin.conf", "/etc/kubernetes/scheduler.conf", "/etc/kubernetes/controller-manager.conf"
	return append(items,
		cisItem{id: "1.1.11", title: "The etcd data directory has mode 700", check: onMasters(etcdDirectory)},
		cisItem{id: "1.1.12", title: "The etcd data directory is owned by etcd:etcd", check: onMasters(etcdConfined),
			unmet: "etcd runs as root in its container, without any capability, on a read-only root and with its data and certificates alone mounted; a second user on an immutable node would protect nothing more"},
		cisItem{id: "1.1.13", title: "admin.conf and super-admin.conf have mode 600", check: onMasters(all(mode(0o600, admin), noSuperAdmin))},
		cisItem{id: "1.1.14", title: "admin.conf and super-admin.conf are owned by root:root", check: onMasters(all(ownedByRoot(admin), noSuperAdmin))},
		cisItem{id: "1.1.15", title: "scheduler.conf has mode 600", check: onMasters(mode(0o600, scheduler))},
		cisItem{id: "1.1.16", title: "scheduler.conf is owned by root:root", check: onMasters(ownedByRoot(scheduler))},
		cisItem{id: "1.1.17", title: "controller-manager.conf has mode 600", check: onMasters(mode(0o600, manager))},
		cisItem{id: "1.1.18", title: "controller-manager.conf is owned by root:root", check: onMasters(ownedByRoot(manager))},
		cisItem{id: "1.1.19", title: "The PKI directory and its files are owned by root:root", check: ownedByRoot(pkiDir + "/")},
		cisItem{id: "1.1.20", title: "PKI certificates have mode 644 or stricter", check: pkiModes(".crt", 0o644)},
		cisItem{id: "1.1.21", title: "PKI keys have mode 600", check: pkiModes(".key", 0o600)},
	)
}

func cisAPIServer() []cisItem {
	const c = "kube-apiserver"
	return []cisItem{
		{id: "1.2.1", title: "--anonymous-auth is false", check: onMasters(anonymousHealthOnly),
			unmet: "the kubelet's probes and haproxy's checks are anonymous; the authentication configuration lets them reach /livez, /readyz and /healthz and nothing else"},
		{id: "1.2.2", title: "--token-auth-file is not set", check: unset(c, "token-auth-file")},
		{id: "1.2.4", title: "--kubelet-client-certificate and --kubelet-client-key are set", check: onDisk(c, "kubelet-client-certificate", "kubelet-client-key")},
		{id: "1.2.5", title: "--kubelet-certificate-authority is set", check: onDisk(c, "kubelet-certificate-authority")},
		{id: "1.2.6", title: "--authorization-mode is not AlwaysAllow", check: set(c, "authorization-mode", func(s string) bool { return !has("AlwaysAllow")(s) })},
		{id: "1.2.7", title: "--authorization-mode includes Node", check: set(c, "authorization-mode", has("Node"))},
		{id: "1.2.8", title: "--authorization-mode includes RBAC", check: set(c, "authorization-mode", has("RBAC"))},
		{id: "1.2.14", title: "The admission plugin NodeRestriction is on", check: set(c, "enable-admission-plugins", has("NodeRestriction"))},
		{id: "1.2.15", title: "--profiling is false", check: set(c, "profiling", is("false"))},
		{id: "1.2.16", title: "--audit-log-path is set", check: set(c, "audit-log-path", func(s string) bool { return strings.HasPrefix(s, auditLogDir+"/") })},
		{id: "1.2.17", title: "--audit-log-maxage is 30 or more", check: set(c, "audit-log-maxage", atLeast(30))},
		{id: "1.2.18", title: "--audit-log-maxbackup is 10 or more", check: set(c, "audit-log-maxbackup", atLeast(10))},
		{id: "1.2.19", title: "--audit-log-maxsize is 100 or more", check: set(c, "audit-log-maxsize", atLeast(100))},
		{id: "1.2.22", title: "--service-account-key-file is set", check: onDisk(c, "service-account-key-file")},
		{id: "1.2.23", title: "--etcd-certfile and --etcd-keyfile are set", check: onDisk(c, "etcd-certfile", "etcd-keyfile")},
		{id: "1.2.24", title: "--tls-cert-file and --tls-private-key-file are set", check: onDisk(c, "tls-cert-file", "tls-private-key-file")},
		{id: "1.2.25", title: "--client-ca-file is set", check: onDisk(c, "client-ca-file")},
		{id: "1.2.26", title: "--etcd-cafile is set", check: onDisk(c, "etcd-cafile")},
		{id: "1.2.27", title: "--encryption-provider-config is set", check: onDisk(c, "encryption-provider-config")},
		{id: "1.2.28", title: "The first encryption provider is aescbc, kms or secretbox", check: onMasters(encryptsFirst)},
		{id: "1.2.29", title: "--tls-cipher-suites are strong", check: set(c, "tls-cipher-suites", func(s string) bool { return strongSuites(strings.Split(s, ",")) })},
		{id: "1.2.30", title: "--service-account-extend-token-expiration is false", check: set(c, "service-account-extend-token-expiration", is("false"))},
	}
}

func cisControllers() []cisItem {
	const c, s = "kube-controller-manager", "kube-scheduler"
	return []cisItem{
		{id: "1.3.1", title: "--terminated-pod-gc-threshold is set", check: set(c, "terminated-pod-gc-threshold", atLeast(1))},
		{id: "1.3.2", title: "--profiling is false", check: set(c, "profiling", is("false"))},
		{id: "1.3.3", title: "--use-service-account-credentials is true", check: set(c, "use-service-account-credentials", is("true"))},
		{id: "1.3.4", title: "--service-account-private-key-file is set", check: onDisk(c, "service-account-private-key-file")},
		{id: "1.3.5", title: "--root-ca-file is set", check: onDisk(c, "root-ca-file")},
		{id: "1.3.7", title: "--bind-address is 127.0.0.1", check: set(c, "bind-address", is("127.0.0.1"))},
		{id: "1.4.1", title: "--profiling is false", check: set(s, "profiling", is("false"))},
		{id: "1.4.2", title: "--bind-address is 127.0.0.1", check: set(s, "bind-address", is("127.0.0.1"))},
	}
}

func cisEtcd() []cisItem {
	return []cisItem{
		{id: "2.1", title: "--cert-file and --key-file are set", check: onDisk("etcd", "cert-file", "key-file")},
		{id: "2.2", title: "--client-cert-auth is true", check: set("etcd", "client-cert-auth", is("true"))},
		{id: "2.3", title: "--auto-tls is not true", check: unset("etcd", "auto-tls")},
		{id: "2.4", title: "--peer-cert-file and --peer-key-file are set", check: onDisk("etcd", "peer-cert-file", "peer-key-file")},
		{id: "2.5", title: "--peer-client-cert-auth is true", check: set("etcd", "peer-client-cert-auth", is("true"))},
		{id: "2.6", title: "--peer-auto-tls is not true", check: unset("etcd", "peer-auto-tls")},
		{id: "2.7", title: "etcd has an authority of its own", check: onMasters(etcdAuthority)},
		{id: "3.2.1", title: "A minimal audit policy exists", check: all(onDisk("kube-apiserver", "audit-policy-file"), onMasters(mode(0o600, auditPolicyPath)))},
	}
}

func cisKubelet() []cisItem {
	return []cisItem{
		{id: "4.1.1", title: "The kubelet unit has mode 600", check: mode(0o600, kubeletUnitPath)},
		{id: "4.1.5", title: "kubelet.conf has mode 600", check: mode(0o600, "/etc/kubernetes/kubelet.conf")},
		{id: "4.1.9", title: "The kubelet configuration has mode 600", check: mode(0o600, kubeletConfigPath)},
		{id: "4.2.1", title: "Anonymous requests are refused", check: kubeletHas("anonymous.enabled: false and webhook.enabled: true",
			func(k kubeletConfig) bool {
				return !k.Authentication.Anonymous.Enabled && k.Authentication.Webhook.Enabled
			})},
		{id: "4.2.2", title: "The authorization mode is Webhook", check: kubeletHas("authorization.mode: Webhook", func(k kubeletConfig) bool { return k.Authorization.Mode == "Webhook" })},
		{id: "4.2.3", title: "A client authority is set", check: kubeletHas("x509.clientCAFile", func(k kubeletConfig) bool { return k.Authentication.X509.ClientCAFile == caPath })},
		{id: "4.2.4", title: "The read-only port is off", check: kubeletHas("readOnlyPort: 0", func(k kubeletConfig) bool { return k.ReadOnlyPort != nil && *k.ReadOnlyPort == 0 })},
		{id: "4.2.5", title: "Idle streaming connections end", check: kubeletHas("streamingConnectionIdleTimeout", func(k kubeletConfig) bool { return strings.Trim(k.StreamingConnectionIdleTimeout, "0sm") != "" })},
		{id: "4.2.6", title: "The kubelet manages its iptables chains", check: kubeletHas("makeIPTablesUtilChains: true", func(k kubeletConfig) bool { return k.MakeIPTablesUtilChains })},
		{id: "4.2.7", title: "--hostname-override is not set", check: set("kubelet", "hostname-override", is("${NODE}")),
			unmet: "it is set to the name in the node's own certificate, so that a host name that a cloud or a DHCP server hands out cannot rename a node"},
		{id: "4.2.8", title: "Events are captured at a fitting rate", check: kubeletHas("eventRecordQPS", func(k kubeletConfig) bool { return k.EventRecordQPS > 0 })},
		{id: "4.2.9", title: "The kubelet serves with a certificate that the API server can check", check: kubeletHas("serverTLSBootstrap: true", func(k kubeletConfig) bool { return k.ServerTLSBootstrap })},
		{id: "4.2.10", title: "Client certificates are rotated", check: kubeletHas("rotateCertificates: true", func(k kubeletConfig) bool { return k.RotateCertificates })},
		{id: "4.2.11", title: "Serving certificates are rotated", check: kubeletHas("serverTLSBootstrap: true", func(k kubeletConfig) bool { return k.ServerTLSBootstrap })},
		{id: "4.2.12", title: "TLS cipher suites are strong", check: kubeletHas("tlsCipherSuites", func(k kubeletConfig) bool { return strongSuites(k.TLSCipherSuites) })},
		{id: "4.2.13", title: "The number of processes of a pod is limited", check: kubeletHas("podPidsLimit", func(k kubeletConfig) bool { return k.PodPidsLimit > 0 })},
		{id: "4.2.14", title: "Seccomp is on by default", check: kubeletHas("seccompDefault: true", func(k kubeletConfig) bool { return k.SeccompDefault })},
	}
}

func etcdDirectory(c *cisNode) error {
	if !slices.ContainsFunc(c.doc.Directories, func(d payload.Directory) bool {
		return d.Path == c.flags["etcd"]["data-dir"] && d.Mode == 0o700
	}) {
		return fmt.Errorf("no directory %q of mode 0700", c.flags["etcd"]["data-dir"])
	}
	return nil
}

// etcdConfined is what stands in for a user of its own.
func etcdConfined(c *cisNode) error {
	f, _ := c.file(etcdManifestPath)
	var pod struct {
		Spec struct {
			Containers []struct {
				SecurityContext struct {
					AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
					ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
					Capabilities             struct{ Drop, Add []string }
				} `yaml:"securityContext"`
			}
		}
	}
	if err := yaml.Unmarshal(f.Contents, &pod); err != nil {
		return err
	}
	s := pod.Spec.Containers[0].SecurityContext
	if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0 {
		return fmt.Errorf("etcd runs with %+v", s)
	}
	return nil
}

func noSuperAdmin(c *cisNode) error {
	if _, ok := c.file("/etc/kubernetes/super-admin.conf"); ok {
		return errors.New("super-admin.conf is on the node")
	}
	return nil
}

// anonymousHealthOnly is what stands in for --anonymous-auth=false.
func anonymousHealthOnly(c *cisNode) error {
	if err := all(unset("kube-apiserver", "anonymous-auth"), onDisk("kube-apiserver", "authentication-config"))(c); err != nil {
		return err
	}
	f, _ := c.file(c.flags["kube-apiserver"]["authentication-config"])
	var config struct {
		Anonymous struct{ Conditions []struct{ Path string } }
	}
	if err := yaml.Unmarshal(f.Contents, &config); err != nil {
		return err
	}
	var paths []string
	for _, x := range config.Anonymous.Conditions {
		paths = append(paths, x.Path)
	}
	if !slices.Equal(paths, []string{"/livez", "/readyz", "/healthz"}) {
		return fmt.Errorf("anonymous requests reach %q", paths)
	}
	return nil
}

func encryptsFirst(c *cisNode) error {
	f, _ := c.file(c.flags["kube-apiserver"]["encryption-provider-config"])
	var config struct {
		Resources []struct {
			Resources []string
			Providers []map[string]any
		}
	}
	if err := yaml.Unmarshal(f.Contents, &config); err != nil {
		return err
	}
	for _, r := range config.Resources {
		if slices.Contains(r.Resources, "secrets") && len(r.Providers) > 0 {
			for _, name := range []string{"aescbc", "kms", "secretbox"} {
				if _, ok := r.Providers[0][name]; ok {
					return nil
				}
			}
		}
	}
	return errors.New("Secrets are not encrypted by the first provider")
}

func etcdAuthority(c *cisNode) error {
	etcd, ok := c.file(c.flags["etcd"]["trusted-ca-file"])
	kubernetes, _ := c.file(caPath)
	if !ok || string(etcd.Contents) == string(kubernetes.Contents) {
		return errors.New("etcd trusts the kubernetes authority")
	}
	return nil
}
