package api

import (
	"fmt"
	"net/url"
)

// kind is where the API server keeps the objects of one kind.
type kind struct {
	apiVersion, name string
	plural           string
	namespaced       bool
}

// kinds are those that this node reads or writes, and no others: asking the API
// server for them would cost a request per group at every start.
var kinds = [...]kind{
	{"v1", "ConfigMap", "configmaps", true},
	{"v1", "Namespace", "namespaces", false},
	{"v1", "Node", "nodes", false},
	{"v1", "Pod", "pods", true},
	{"v1", "Secret", "secrets", true},
	{"v1", "Service", "services", true},
	{"v1", "ServiceAccount", "serviceaccounts", true},
	{"apiregistration.k8s.io/v1", "APIService", "apiservices", false},
	{"apps/v1", "DaemonSet", "daemonsets", true},
	{"apps/v1", "Deployment", "deployments", true},
	{"certificates.k8s.io/v1", "CertificateSigningRequest", "certificatesigningrequests", false},
	{"coordination.k8s.io/v1", "Lease", "leases", true},
	{"policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true},
	{"rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false},
	{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false},
	{"rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings", true},
}

// Ref names one object; with an empty Name all of its kind, in a namespace or in all.
type Ref struct {
	APIVersion, Kind, Namespace, Name string
}

// String is how people name it: DaemonSet kube-system/kube-proxy.
func (r Ref) String() string {
	switch {
	case r.Name == "":
		return "all of kind " + r.Kind
	case r.Namespace == "":
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// path is the object's or the list's below the server's URL.
func (r Ref) path() (string, error) {
	for _, k := range kinds {
		if k.apiVersion != r.APIVersion || k.name != r.Kind {
			continue
		}
		if r.Name != "" && k.namespaced != (r.Namespace != "") {
			return "", fmt.Errorf("%s: a %s is of a namespace: %v", r, r.Kind, k.namespaced)
		}
		path := "/apis/" + r.APIVersion
		if r.APIVersion == "v1" {
			path = "/api/v1"
		}
		if r.Namespace != "" {
			path += "/namespaces/" + url.PathEscape(r.Namespace)
		}
		path += "/" + k.plural
		if r.Name != "" {
			path += "/" + url.PathEscape(r.Name)
		}
		return path, nil
	}
	return "", fmt.Errorf("%s of %s: this client does not know the kind", r, r.APIVersion)
}

// Known tells whether this client can name an object; the error says why not.
func (r Ref) Known() error {
	_, err := r.path()
	return err
}
