package forge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/pki"
	"github.com/imgforge/imgforge/profiles"
)

// KubeconfigOptions choose who the kubeconfig is for.
type KubeconfigOptions struct {
	Source Source
	User   string
	For    time.Duration
}

// maxKubeconfig bounds the life of a certificate that nothing can revoke.
const maxKubeconfig = 24 * time.Hour

// adminGroup is kubeadm's group of cluster administrators: unlike
// system:masters it has rights only through a binding that can be removed.
const adminGroup = "kubeadm:cluster-admins"

// Kubeconfig issues a short-lived admin certificate for a server that is
// reachable from outside of the cluster. It needs the authority identity.
func (a *App) Kubeconfig(_ context.Context, o KubeconfigOptions) (data []byte, lines []string, err error) {
	if o.For <= 0 || o.For > maxKubeconfig {
		return nil, nil, invalid("", fmt.Sprintf("a lifetime of %s is not possible", o.For), "write --for with more than 0 and at most 24h: nothing can revoke this certificate")
	}
	c, st, err := a.openStore(o.Source)
	if err != nil {
		return nil, nil, err
	}
	server, inside, err := c.server()
	if err != nil {
		return nil, nil, err
	}
	cert, key, err := st.KubeconfigLeaf(o.User, adminGroup, o.For)
	if err != nil {
		return nil, nil, err
	}
	authority, err := st.Authority(pki.Kubernetes)
	if err != nil {
		return nil, nil, err
	}
	if inside {
		lines = []string{"the server " + server + " is inside the mesh: join it first, with `imgforge mesh-config`"}
	}
	data, err = kubeconfig(c.plan.Cluster, o.User, server, authority, cert, key)
	return data, lines, err
}

// What to say of an API that is open to outside networks under no known name.
const (
	noPublicHost    = "the API is open to outside networks, but no public name or address of it is known"
	writePublicHost = "write roles.proxy.publicIP, the publicIP of a master or proxy, or endpoint.sans"
)

// server is the API's address as seen from outside: what endpoint.access opens,
// else an address inside the mesh when there are operators.
func (c *cluster) server() (url string, inside bool, err error) {
	p := c.plan
	host := ""
	if len(p.Endpoint.Access) > 0 {
		host = publicHost(c)
	}
	switch {
	case host != "":
		return "https://" + net.JoinHostPort(host, strconv.Itoa(p.Endpoint.Port)), false, nil
	case len(p.Operators) > 0 && p.Endpoint.Mode == "vip":
		return p.Endpoint.URL, true, nil
	case len(p.Operators) > 0:
		first := p.NodesOf(plan.Master)[0]
		return "https://" + net.JoinHostPort(first.Address, strconv.Itoa(p.Endpoint.APIServerPort)), true, nil
	case len(p.Endpoint.Access) > 0:
		return "", false, invalidAt(c, "endpoint.access", noPublicHost, writePublicHost)
	case p.Network.Mesh == "none":
		// The nodes' network is one that people may already be in, but nothing opens the API to it.
		return "", false, invalidAt(c, "endpoint.access", "nothing outside of the cluster may reach the API", "write endpoint.access with your own network")
	}
	return "", false, invalidAt(c, "endpoint.access", "nothing outside of the cluster may reach the API",
		"write endpoint.access with your own network, or network.operators with your name and use `imgforge mesh-config`")
}

// publicHost is the first public name or address that a certificate of the API
// server holds: the proxies' address, a node's, or a name of endpoint.sans.
func publicHost(c *cluster) string {
	for _, role := range []string{plan.Proxy, plan.Master} {
		r, ok := c.plan.Role(role)
		if !ok {
			continue
		}
		if r.PublicIP != "" {
			return r.PublicIP
		}
		for _, n := range c.plan.NodesOf(role) {
			if n.PublicIP != "" && !n.Reserved {
				return n.PublicIP
			}
		}
		break // with proxies, masters do not serve the outside
	}
	if len(c.plan.Endpoint.SANs) > 0 {
		return c.plan.Endpoint.SANs[0]
	}
	if c.plan.Network.Mesh == "none" {
		return c.plan.Endpoint.Address // on the same LAN
	}
	return ""
}

// kubeconfig is JSON, which every reader of kubeconfigs takes as YAML.
func kubeconfig(cluster, user, server string, authority, cert, key []byte) ([]byte, error) {
	type named map[string]any
	doc := map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": cluster,
		"clusters": []named{{"name": cluster, "cluster": named{"server": server, "certificate-authority-data": authority}}},
		"users":    []named{{"name": user, "user": named{"client-certificate-data": cert, "client-key-data": key}}},
		"contexts": []named{{"name": cluster, "context": named{"cluster": cluster, "user": user}}},
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the kubeconfig: %w", err)
	}
	return append(data, '\n'), nil
}

// MeshConfig makes an operator's laptop a peer. One file goes to standard
// output; several need a folder, which must not exist yet.
func (a *App) MeshConfig(src Source, name, out string) (data []byte, lines []string, err error) {
	c, st, err := a.open(src)
	if err != nil {
		return nil, nil, err
	}
	known := false
	for _, op := range c.plan.Operators {
		known = known || op.Name == name
	}
	if !known {
		return nil, nil, invalidAt(c, "network.operators", fmt.Sprintf("there is no operator %q", name), "add the name to network.operators, then run `imgforge pki issue`")
	}
	files, err := profiles.Operator(c.plan, name, st)
	if err != nil {
		return nil, nil, err
	}
	if out == "" {
		if len(files) > 1 {
			return nil, nil, invalid("", "tinc needs several files", "name a folder with -o")
		}
		return files[0].Contents, c.unreachable(), nil
	}
	files = append(files, artifact.File{Path: ".gitignore", Contents: ignoreAll()})
	if err := writeFolder(out, files); err != nil {
		return nil, nil, err
	}
	where := "/etc/tinc/" + c.plan.Network.NetName
	if c.plan.Network.Mesh == "wireguard" {
		where = "/etc/wireguard"
	}
	line := fmt.Sprintf("wrote %d files to %s: put them at %s on the laptop of %s", len(files), out, where, name)
	return nil, append(c.unreachable(), line), nil
}

// writeFolder makes a folder that holds keys, whole or not at all.
func writeFolder(dir string, files []artifact.File) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already and is left alone: name another folder", dir)
	}
	temp, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".imgforge-tmp-")
	if err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	defer os.RemoveAll(temp)
	for _, f := range files {
		path := filepath.Join(temp, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("make folder %s: %w", dir, err)
		}
		mode := fs.FileMode(f.Mode)
		if mode == 0 {
			mode = 0o644
		}
		if err := artifact.WriteBytes(path, mode, f.Contents); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, dir); err != nil {
		return fmt.Errorf("make folder %s: %w", dir, err)
	}
	return nil
}
