package lab

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/plan"
)

const classRotate = "a kubelet's certificates about to end"

// shortSigning is how long the controller manager signs for in a row about renewal. It
// dates certificates back by five minutes, and a kubelet renews one when 70 to 90 % of
// its life are over (k8s.io/client-go/util/certificate): within two minutes, then.
const shortSigning = 100 * time.Second

func rotateRows(p *plan.Plan) []Fault {
	workers := notReserved(p, plan.Worker)
	if len(workers) == 0 {
		return nil
	}
	name := workers[0].Name
	return []Fault{{Class: classRotate, Name: name + " renews both certificates of its kubelet", Short: true, Serves: true, Do: rotates(name)}}
}

// rotates gives a node certificates that end soon, and watches its kubelet renew both
// while the API asks it all along.
func rotates(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (evidence string, err error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		undo, err := b.signFor(ctx, shortSigning)
		if err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, undo()) }()
		right := n.made.Payload
		payload, err := aboutToEnd(ctx, b, name)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		if err := n.replace(ctx, payload); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, n.replace(ctx, right)) }() // its other leaves are not renewed
		if err := b.readyAgain(ctx, n); err != nil {
			return "", err
		}
		var before [2]*x509.Certificate
		if _, err := b.Wait(ctx, "both certificates are there", soon, func(context.Context) (err error) {
			before, err = n.kubeletCertificates()
			return err
		}); err != nil {
			return "", err
		}
		if end := time.Until(before[1].NotAfter); end > 2*shortSigning {
			return "", fmt.Errorf("the serving certificate is good for %s more: the controller manager did not take its setting", end.Round(time.Second))
		}
		b.Begun()
		asked := b.asks(ctx, n)
		for i, what := range []string{"client", "serving"} {
			took, err := b.Wait(ctx, "the "+what+" certificate is renewed", 4*time.Minute, func(context.Context) error {
				now, err := n.kubeletCertificates()
				if err == nil && now[i].SerialNumber.Cmp(before[i].SerialNumber) == 0 {
					err = errors.New("it is the old one")
				}
				return err
			})
			if err != nil {
				asked.end()
				return "", err
			}
			b.Measure("the "+what+" certificate was renewed", took, 0)
		}
		rest(ctx, time.Until(before[0].NotAfter)) // of the old ones none is good any more
		rest(ctx, time.Until(before[1].NotAfter)+5*time.Second)
		words, err := asked.end(), b.readyAgain(ctx, n)
		if err == nil && asked.failed != nil {
			err = fmt.Errorf("while certificates were renewed %d of %d questions through the API had no answer: %w", asked.bad, asked.all, asked.failed)
		}
		return fmt.Sprintf("%s's kubelet renewed client (until %s) and serving certificate (until %s) before they ended; %s", name,
			before[0].NotAfter.UTC().Format(time.TimeOnly), before[1].NotAfter.UTC().Format(time.TimeOnly), words), err
	}
}

// aboutToEnd is a node's payload whose leaves end in some minutes. A kubelet renews its
// own as soon as it runs, as kubelets do when most of a leaf's life is over.
func aboutToEnd(ctx context.Context, b *bout, name string) ([]byte, error) {
	dir, err := os.MkdirTemp(b.work, "ending-")
	if err != nil {
		return nil, err
	}
	out := filepath.Join(dir, "out")
	if err := b.buildEnding(ctx, dir, out, time.Now().Add(10*time.Minute)); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(out, "secret", "nodes", name+".ign"))
}

// controllerManifest is the kubelet's of the controller manager.
const controllerManifest = "etc/kubernetes/manifests/kube-controller-manager.yaml"

// signFor has the controller managers sign for a time, as kubernetes.extraArgs of a
// payload would; undo gives them back what they had.
func (b *bout) signFor(ctx context.Context, d time.Duration) (undo func() error, err error) {
	kept := map[string][]byte{}
	undo = func() (err error) {
		for path, text := range kept {
			err = errors.Join(err, os.WriteFile(path, text, 0o600))
		}
		return err
	}
	for _, n := range b.mastersOf() {
		path := filepath.Join(fmt.Sprintf("/proc/%d/root", n.leader), controllerManifest)
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, errors.Join(err, undo())
		}
		changed, err := withFlag(string(text), "--cluster-signing-", "--cluster-signing-duration="+d.String())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %s: %w", n.Name, controllerManifest, err), undo())
		}
		kept[path] = text
		if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
			return nil, errors.Join(err, undo())
		}
	}
	rest(ctx, 5*time.Second) // until kubelets have seen it
	if err := b.becomesWhole(ctx, boundWhole); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// withFlag is a manifest with a flag put before the first that begins alike.
func withFlag(manifest, like, flag string) (string, error) {
	at := strings.Index(manifest, like)
	if at < 0 {
		return "", fmt.Errorf("it has no flag that begins with %s", like)
	}
	line := strings.LastIndex(manifest[:at], "\n") + 1
	head := manifest[line:at]
	if strings.HasSuffix(head, `"`) {
		flag += `"`
	}
	return manifest[:line] + head + flag + "\n" + manifest[line:], nil
}

// kubeletCertificates are the client and the serving certificate that a kubelet has.
func (n *Node) kubeletCertificates() (both [2]*x509.Certificate, err error) {
	for i, file := range []string{"kubelet-client-current.pem", "kubelet-server-current.pem"} {
		data, err := os.ReadFile(filepath.Join(fmt.Sprintf("/proc/%d/root", n.leader), "var/lib/kubelet/pki", file))
		if err != nil {
			// The link is absolute, as the node sees it.
			matches, _ := filepath.Glob(filepath.Join(n.state, "kubelet/pki", strings.Replace(file, "current", "20*", 1)))
			if len(matches) == 0 {
				return both, err
			}
			if data, err = os.ReadFile(matches[len(matches)-1]); err != nil {
				return both, err
			}
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return both, fmt.Errorf("%s holds no certificate", file)
		}
		if both[i], err = x509.ParseCertificate(block.Bytes); err != nil {
			return both, err
		}
	}
	return both, nil
}

// asking has the API ask a kubelet, which takes both certificates: the API server
// trusts the serving one, and the kubelet's own way to the API is what makes it Ready.
type asking struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	all    int
	bad    int
	failed error
}

// asks begins to ask, twice a second.
func (b *bout) asks(ctx context.Context, n *Node) *asking {
	ctx, stop := context.WithCancel(ctx)
	a := &asking{stop: stop}
	a.done.Go(func() {
		for ; ctx.Err() == nil; rest(ctx, 500*time.Millisecond) {
			err := b.o.through(ctx, b.standpoint(), b.Plan.Endpoint.URL, "/api/v1/nodes/"+n.Name+"/proxy/configz", nil)
			if ctx.Err() != nil {
				return
			}
			a.all++
			if err != nil {
				a.bad, a.failed = a.bad+1, err
			}
		}
	})
	return a
}

// end ends it and says what was seen.
func (a *asking) end() string {
	a.stop()
	a.done.Wait()
	return fmt.Sprintf("the API asked the kubelet %d times meanwhile, %d without an answer", a.all, a.bad)
}
