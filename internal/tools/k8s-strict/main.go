// Command k8s-strict reads a stream of YAML or JSON documents and decodes each
// as the Kubernetes type that its apiVersion and kind name, with unknown and
// duplicate fields as errors. It prints kind/name per document and exits 1 at
// the first document that no Kubernetes component of this version would take.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"
	audit "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/kubernetes/scheme"
	authentication "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	kubeconfig "k8s.io/client-go/tools/clientcmd/api/v1"
	apiregistration "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	kubescheduler "k8s.io/kube-scheduler/config/v1"
	kubelet "k8s.io/kubelet/config/v1beta1"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "k8s-strict:", err)
		os.Exit(1)
	}
}

// run judges every document of in and fails when there is none: an empty
// stream is a check that looked at nothing.
func run(in io.Reader, out io.Writer) error {
	known, err := types()
	if err != nil {
		return err
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, known, known, json.SerializerOptions{Yaml: true, Strict: true})
	documents := yaml.NewYAMLReader(bufio.NewReader(in))
	seen := 0
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		if blank(text) {
			continue
		}
		object, kind, err := strict.Decode(text, nil, nil)
		if err != nil {
			return fmt.Errorf("document %d: %w", n, err)
		}
		fmt.Fprintln(out, title(object, kind))
		seen++
	}
	if seen == 0 {
		return errors.New("no document on stdin")
	}
	return nil
}

// types is every API that a file on a node or an add-on may use.
func types() (*runtime.Scheme, error) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, apiserver.AddToScheme, audit.AddToScheme, authentication.AddToScheme,
		apiregistration.AddToScheme, kubelet.AddToScheme, kubeproxy.AddToScheme, kubescheduler.AddToScheme,
	} {
		if err := add(known); err != nil {
			return nil, err
		}
	}
	// A kubeconfig has no group: client-go registers it in a scheme of its own,
	// because core/v1 has none either.
	known.AddKnownTypes(schema.GroupVersion{Version: "v1"}, &kubeconfig.Config{})
	return known, nil
}

// blank tells whether a document holds comments and separators only.
func blank(text []byte) bool {
	for _, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

func title(object runtime.Object, kind *schema.GroupVersionKind) string {
	if m, err := meta.Accessor(object); err == nil && m.GetName() != "" {
		return kind.Kind + "/" + m.GetName()
	}
	return kind.Kind
}
