package lab

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// probeManifest is what the checks act from; ${IMAGE} and ${NODE} are filled.
//
//go:embed topology/probe.yaml
var probeManifest string

// checkPods makes the checks that act from inside of pods.
func (t *Trial) checkPods(ctx context.Context, o *operator) {
	server := t.nodes[len(t.nodes)-1].Name
	text := strings.NewReplacer("${IMAGE}", ProbeImage, "${NODE}", server).Replace(probeManifest)
	t.Check(ctx, "a pod runs on every node", 2*time.Minute, func(ctx context.Context) (string, error) {
		if _, err := o.kubectlIn(ctx, o.netns, text, "apply", "--server-side", "-f", "-"); err != nil {
			return "", err
		}
		pods, err := t.probes(ctx, o)
		return fmt.Sprintf("%s, one on each node", counted(len(pods), "pod")), err
	})
	if t.Plan.Addons.CoreDNS {
		t.Check(ctx, "DNS resolves in a pod on every node", soon, func(ctx context.Context) (string, error) { return t.podsResolve(ctx, o) })
	}
	t.Check(ctx, t.serviceCheck(), soon, func(ctx context.Context) (string, error) { return t.reachService(ctx, o, server) })
	if len(metadataAddresses(t.Plan)) > 0 {
		t.Check(ctx, "the metadata address is closed to pods", soon, func(ctx context.Context) (string, error) { return t.metadataClosed(ctx, o) })
	}
}

// serviceCheck is what reachService shows, by name.
func (t *Trial) serviceCheck() string {
	if len(t.nodes) == 1 {
		return "a pod reaches a Service"
	}
	return "a pod on one node reaches a Service backed by a pod on another"
}

// probe is a pod on a node.
type probe struct{ pod, node string }

// probes are the pods of the lab's DaemonSet; an error until one runs on every node.
func (t *Trial) probes(ctx context.Context, o *operator) (pods []probe, err error) {
	out, err := o.kubectl(ctx, "get", "pods", "-n", "lab", "-l", "app=probe", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list podList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, err
	}
	missing := slices.Clone(t.result.Nodes)
	for _, p := range list.pods() {
		if p.ready {
			pods = append(pods, probe{p.name, p.node})
			missing = slices.DeleteFunc(missing, func(name string) bool { return name == p.node })
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("no ready pod on %s", strings.Join(missing, ", "))
	}
	return pods, nil
}

// inPods runs a command in the lab's pod of every node that is asked for, and
// judges what each printed, or why it failed.
func (t *Trial) inPods(ctx context.Context, o *operator, on func(node string) bool, command []string, judge func(p probe, out string, err error) error) (count int, err error) {
	pods, err := t.probes(ctx, o)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, p := range pods {
		if !on(p.node) {
			continue
		}
		out, err := o.kubectl(ctx, append([]string{"exec", "-n", "lab", p.pod, "--"}, command...)...)
		if err := judge(p, out, err); err != nil {
			errs = append(errs, fmt.Errorf("on %s: %w", p.node, err))
			break // the next attempt starts over: the others would only take longer
		}
		count++
	}
	return count, errors.Join(errs...)
}

func anywhere(string) bool { return true }

// podsResolve asks for a Service, by its short name as programs do, and for a name
// outside of the cluster.
func (t *Trial) podsResolve(ctx context.Context, o *operator) (string, error) {
	k := t.Plan.Kubernetes
	service := "kubernetes.default.svc." + k.ClusterDomain
	script := fmt.Sprintf("nslookup %s %s && nslookup %s", service, k.DNSIP, OutsideName)
	count, err := t.inPods(ctx, o, anywhere, []string{"sh", "-c", script}, func(_ probe, out string, err error) error {
		if err == nil && (!strings.Contains(out, k.ServiceIP) || !strings.Contains(out, t.wire.gateway.Addr().String())) {
			err = errors.New("nslookup printed " + out)
		}
		return err
	})
	return fmt.Sprintf("%s is %s at %s, and %s is %s, in %s", service, k.ServiceIP, k.DNSIP, OutsideName, t.wire.gateway.Addr(), counted(count, "pod")), err
}

// askPage asks an address for its page, in a pod. A static busybox has no resolver
// but nslookup's, and the wget of Debian's crashes when it is given a timeout.
const askPage = `echo -e "GET / HTTP/1.0\r\n\r" | nc -w 3 %s 80`

// askByName is askPage for a name.
const askByName = `for address in $(nslookup %s | while read key value rest; do [ "$key" != Address: ] || echo "$value"; done); do :; done
`

// reachService asks for a page that only the pod on one node has, from the pods of all other nodes.
func (t *Trial) reachService(ctx context.Context, o *operator, on string) (string, error) {
	want := "served on " + on
	elsewhere := func(node string) bool { return node != on || len(t.result.Nodes) == 1 }
	count, err := t.inPods(ctx, o, elsewhere, []string{"sh", "-c", fmt.Sprintf(askByName+askPage, "server.lab.svc."+t.Plan.Kubernetes.ClusterDomain, "$address")},
		func(_ probe, out string, err error) error {
			if err == nil && !strings.HasSuffix(strings.TrimSpace(out), "\n"+want) {
				err = fmt.Errorf("got %q", out)
			}
			return err
		})
	return fmt.Sprintf("%s read %q through the Service", counted(count, "pod"), want), err
}

// metadataClosed reads the metadata service from every node, and must not from a pod.
func (t *Trial) metadataClosed(ctx context.Context, o *operator) (string, error) {
	addresses := metadataAddresses(t.Plan)
	for _, address := range addresses {
		if err := together(t.nodes, func(n *Node) error { return n.readsMetadata(ctx, address) }); err != nil {
			return "", err
		}
	}
	count := 0
	for _, address := range addresses {
		script := fmt.Sprintf(askPage, address) + " || echo closed $?"
		n, err := t.inPods(ctx, o, anywhere, []string{"sh", "-c", script}, func(_ probe, out string, err error) error {
			if err == nil && strings.TrimSpace(out) != "closed 1" { // nc had no connection
				err = fmt.Errorf("a pod read %q from %s", out, address)
			}
			return err
		})
		if err != nil {
			return "", err
		}
		count += n
	}
	return fmt.Sprintf("every node reads %s, and none of %s does", strings.Join(addresses, " and "), counted(count, "pod")), nil
}

// readsMetadata asks the metadata service as the node itself would.
func (n *Node) readsMetadata(ctx context.Context, address string) error {
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DialContext: dialler(n.netns), DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(address, "80")+"/", nil)
	if err != nil {
		return err
	}
	reply, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("%s cannot read its own metadata: %w", n.Name, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && string(text) != metadataText {
		err = fmt.Errorf("%s read %q", n.Name, text)
	}
	return err
}
