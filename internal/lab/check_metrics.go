package lab

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
)

// metricsSigner judges the certificate that metrics-server serves and the one by
// which the API server knows it, and returns the authority's name.
func (t *Trial) metricsSigner(ctx context.Context, o *operator, store map[string]*x509.Certificate) (string, error) {
	// The API server verifies metrics-server by what the APIService has.
	var service struct {
		Spec struct {
			CABundle []byte `json:"caBundle"`
			Insecure bool   `json:"insecureSkipTLSVerify"`
		} `json:"spec"`
	}
	if err := t.anyMaster(ctx, o, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", &service); err != nil {
		return "", err
	}
	if service.Spec.Insecure || len(service.Spec.CABundle) == 0 {
		return "", errors.New("the API server does not verify metrics-server")
	}
	for block, rest := pem.Decode(service.Spec.CABundle); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			err = chains(cert, store)
		}
		if err != nil {
			return "", fmt.Errorf("what the API server trusts metrics-server by: %w", err)
		}
	}
	var address struct {
		Spec struct {
			ClusterIP string `json:"clusterIP"`
		} `json:"spec"`
	}
	if err := t.anyMaster(ctx, o, "/api/v1/namespaces/kube-system/services/metrics-server", &address); err != nil {
		return "", err
	}
	chain, err := t.masters()[0].serves(ctx, net.JoinHostPort(address.Spec.ClusterIP, "443"))
	if err != nil {
		return "", fmt.Errorf("metrics-server: %w", err)
	}
	return "kubelet-signer", chains(chain[0], store, "kubelet-signer")
}
