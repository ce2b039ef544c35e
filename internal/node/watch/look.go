package watch

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/node/step"
)

// looker looks at one node, and keeps between two looks what makes the next cheap.
type looker struct {
	o       Options
	node    artifact.NodeFile
	cluster artifact.ClusterFile

	mesh   meshLooker
	images imageLooker
	// The clients keep their connections, so that a look is a request and no handshake.
	local, open *http.Client
	api         apiClient
	kubelet     lastWord
}

// newLooker reads who this node is.
func newLooker(o Options) (*looker, error) {
	l := &looker{o: o}
	var err error
	if l.node, err = artifact.ReadNodeFile(o.Root); err == nil {
		l.cluster, err = artifact.ReadClusterFile(o.Root)
	}
	if err != nil {
		return nil, bootcode.Fail(bootcode.NodeUnread, "%v", err)
	}
	l.open, l.local = newHTTP(nil), newHTTP(nil)
	if pem, err := os.ReadFile(filepath.Join(o.Root, leaf.CAPath)); err == nil { // else the leaves say so
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		l.local = newHTTP(pool)
	}
	l.mesh = newMeshLooker(o, l.node, l.cluster)
	l.api = newAPIClient(o)
	return l, nil
}

// look finds out everything at once: what hangs in one place must not delay another.
func (l *looker) look(ctx context.Context) Facts {
	f := Facts{Node: l.node, Cluster: l.cluster, Now: l.o.Now(), Others: map[string]step.Record{}}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, part := range []func(){
		func() { f.Mesh = l.mesh.look(ctx) },
		func() { f.Images = l.images.look(ctx, l.o, l.mesh.kind) },
		func() { f.Kubelet = l.lookKubelet(ctx) },
		func() { f.API = l.api.look(ctx, l.cluster.EndpointURL, l.node.Node) },
		func() { f.Parts = l.lookParts(ctx) },
		func() { f.HAProxy = l.lookHAProxy(ctx) },
	} {
		all.Go(part)
	}
	f.Leaves = leaf.Read(l.o.Root, l.node.Role, f.Now)
	f.Disks = l.o.disks(l.o.Root, l.node.Role)
	records, _ := step.Read(l.o.Root) // what cannot be read has not been said
	for _, r := range records {
		f.Others[r.Step] = r
	}
	f.VRRP = l.vrrp()
	all.Wait()
	// A kubelet without a registered node is asked once more why, but only then.
	if f.Kubelet.Healthy && f.API.Status == http.StatusNotFound {
		f.Kubelet.Why = l.kubelet.of(ctx, l.o, "kubelet.service")
	}
	return f
}

// lookTimeout bounds a whole look.
const lookTimeout = 10 * time.Second

// vrrp is what keepalived told, in words.
func (l *looker) vrrp() string {
	if l.node.VIP == nil {
		return ""
	}
	var out []string
	files, _ := filepath.Glob(filepath.Join(l.o.Root, "/run/imgforge/vrrp/[^.]*.json"))
	for _, name := range files {
		var v artifact.StatusVRRP
		if data, err := os.ReadFile(name); err == nil && json.Unmarshal(data, &v) == nil {
			switch v.State {
			case "MASTER":
				out = append(out, "this node holds "+l.node.VIP.Address)
			case "BACKUP":
				out = append(out, "another node holds "+l.node.VIP.Address)
			default:
				out = append(out, fmt.Sprintf("keepalived's %s is in state %s", v.Name, v.State))
			}
		}
	}
	return strings.Join(out, "; ")
}
