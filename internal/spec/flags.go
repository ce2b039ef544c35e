package spec

import "slices"

// ReservedFlag tells whether imgforge sets a flag of a component itself, or
// whether another value would break what it builds around it. Components are
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kubelet;
// the name has no dashes in front. Such a flag cannot stand in extraArgs.
func ReservedFlag(component, name string) bool {
	return slices.Contains(reserved(component), name)
}

func reserved(component string) []string {
	serving := []string{"profiling", "tls-cipher-suites", "tls-min-version", "tls-cert-file", "tls-private-key-file", "bind-address", "secure-port"}
	loopback := []string{
		"authentication-kubeconfig", "authorization-kubeconfig", "kubeconfig", "leader-elect", "master", "config",
		"client-ca-file", "requestheader-client-ca-file", "requestheader-allowed-names",
	}
	switch component {
	case "etcd":
		return etcdReserved()
	case "kube-apiserver":
		return append(apiserverReserved(), serving...)
	case "kube-controller-manager":
		return append(append(controllerManagerReserved(), serving...), loopback...)
	case "kube-scheduler":
		return append(serving, loopback...)
	case "kubelet":
		return kubeletReserved()
	}
	return nil
}

func etcdReserved() []string {
	return []string{
		"advertise-client-urls", "auto-tls", "cert-file", "cipher-suites", "client-cert-auth", "config-file", "data-dir", "discovery", "discovery-srv",
		"feature-gates", "force-new-cluster", "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state", "initial-cluster-token",
		"key-file", "listen-client-urls", "listen-client-http-urls", "listen-metrics-urls", "listen-peer-urls", "name", "peer-auto-tls", "peer-cert-file",
		"peer-client-cert-auth", "peer-key-file", "peer-trusted-ca-file", "snapshot-count", "strict-reconfig-check", "tls-min-version", "trusted-ca-file",
		"wal-dir", "watch-progress-notify-interval",
	}
}

func apiserverReserved() []string {
	return []string{
		"advertise-address", "allow-privileged", "anonymous-auth", "api-audiences", "audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize",
		"audit-log-path", "audit-policy-file", "authentication-config", "authentication-token-webhook-config-file", "authorization-config",
		"authorization-mode", "cert-dir", "client-ca-file", "enable-admission-plugins", "enable-bootstrap-token-auth", "encryption-provider-config",
		"etcd-cafile", "etcd-certfile", "etcd-keyfile", "etcd-prefix", "etcd-servers", "external-hostname", "kubelet-certificate-authority",
		"kubelet-client-certificate", "kubelet-client-key", "kubelet-preferred-address-types", "oidc-ca-file", "oidc-client-id", "oidc-groups-claim",
		"oidc-groups-prefix", "oidc-issuer-url", "oidc-required-claim", "oidc-signing-algs", "oidc-username-claim", "oidc-username-prefix",
		"proxy-client-cert-file", "proxy-client-key-file", "requestheader-allowed-names", "requestheader-client-ca-file",
		"requestheader-extra-headers-prefix", "requestheader-group-headers", "requestheader-username-headers",
		"service-account-extend-token-expiration", "service-account-issuer", "service-account-key-file", "service-account-signing-key-file",
		"service-cluster-ip-range", "token-auth-file",
	}
}

func controllerManagerReserved() []string {
	return []string{
		"allocate-node-cidrs", "cluster-cidr", "cluster-name", "cluster-signing-cert-file", "cluster-signing-key-file",
		"cluster-signing-kube-apiserver-client-cert-file", "cluster-signing-kube-apiserver-client-key-file",
		"cluster-signing-kubelet-client-cert-file", "cluster-signing-kubelet-client-key-file", "cluster-signing-kubelet-serving-cert-file",
		"cluster-signing-kubelet-serving-key-file", "cluster-signing-legacy-unknown-cert-file", "cluster-signing-legacy-unknown-key-file",
		"flex-volume-plugin-dir", "node-cidr-mask-size", "node-cidr-mask-size-ipv4", "root-ca-file", "service-account-private-key-file", "service-cluster-ip-range",
		"terminated-pod-gc-threshold", "use-service-account-credentials", "kube-api-qps", "kube-api-burst",
	}
}

// kubeletReserved holds the flags imgforge sets and those that its kubelet
// configuration file decides.
func kubeletReserved() []string {
	return []string{
		"address", "anonymous-auth", "authentication-token-webhook", "authorization-mode", "bootstrap-kubeconfig", "cert-dir", "cgroup-driver",
		"client-ca-file", "cluster-dns", "cluster-domain", "config", "config-dir", "container-runtime-endpoint", "hostname-override", "kubeconfig",
		"make-iptables-util-chains", "max-pods", "node-ip", "node-labels", "pod-cidr", "pod-infra-container-image", "pod-manifest-path", "port",
		"protect-kernel-defaults", "read-only-port", "register-node", "register-with-taints", "resolv-conf", "root-dir", "rotate-certificates",
		"rotate-server-certificates", "runtime-cgroups", "seccomp-default", "tls-cert-file", "tls-cipher-suites", "tls-min-version", "tls-private-key-file",
	}
}
