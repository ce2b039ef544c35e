package bench

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// chain makes with other programs what imgforge makes for the nodes of today.
// What a user would have written by hand, requests and Butane, is ready before
// the clock starts.
type chain struct {
	b            *testing.B
	dir          string
	certificates []plan.Certificate
	authorities  []string
	butane       []string // nodes
	keys         int      // WireGuard
	drives       int

	cfssl, cfssljson, butaneBin, wg, xorriso string
}

func newChain(b *testing.B, h home) *chain {
	b.Helper()
	h.run("init", "--example", "exoscale")
	h.run("pki", "issue")
	p := h.plan()
	c := &chain{b: b, dir: b.TempDir(),
		cfssl: testtool.Path(b, "cfssl"), cfssljson: testtool.Path(b, "cfssljson"), butaneBin: testtool.Path(b, "butane"),
		wg: testtool.Path(b, "wg"), xorriso: testtool.Path(b, "xorriso")}
	today := map[string]bool{"": true}
	for _, n := range p.Nodes {
		if n.Reserved {
			continue
		}
		today[n.Name] = true
		c.write(n.Name+".bu", h.output("render", "--node", n.Name, "--format", "butane"))
		c.butane = append(c.butane, n.Name)
		if p.Platform.Drive != "" {
			c.drives++
		}
	}
	if p.Network.Mesh == "wireguard" {
		c.keys = len(c.butane)
	}
	seen := map[string]bool{}
	for _, cert := range p.Certificates {
		if !today[cert.Node] {
			continue
		}
		c.certificates = append(c.certificates, cert)
		c.json(file(cert.ID)+".json", request(cert))
		if !seen[cert.Authority] {
			seen[cert.Authority] = true
			c.authorities = append(c.authorities, cert.Authority)
			c.json("ca-"+cert.Authority+".json", map[string]any{"CN": cert.Authority, "key": ecdsa(), "ca": map[string]string{"expiry": "87600h"}})
		}
	}
	c.json("config.json", map[string]any{"signing": map[string]any{"profiles": map[string]any{
		"server": profile("server auth"), "client": profile("client auth"), "peer": profile("server auth", "client auth")}}})
	return c
}

func ecdsa() map[string]any { return map[string]any{"algo": "ecdsa", "size": 256} }

func profile(usages ...string) map[string]any {
	return map[string]any{"expiry": "8760h", "usages": append(usages, "signing", "digital signature")}
}

func request(cert plan.Certificate) map[string]any {
	var names []map[string]string
	for _, o := range cert.O {
		names = append(names, map[string]string{"O": o})
	}
	return map[string]any{"CN": cert.CN, "names": names, "hosts": append(append([]string{}, cert.DNS...), cert.IPs...), "key": ecdsa()}
}

func file(id string) string { return strings.ReplaceAll(id, "/", "_") }

func (c *chain) json(name string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		c.b.Fatal(err)
	}
	c.write(name, data)
}

func (c *chain) write(name string, data []byte) {
	if err := os.WriteFile(filepath.Join(c.dir, name), data, 0o600); err != nil {
		c.b.Fatal(err)
	}
}

// make runs the chain once, one program after the other as a script does.
func (c *chain) make() {
	for _, a := range c.authorities {
		c.sign("ca-"+a, "gencert", "-loglevel=4", "-initca", "ca-"+a+".json")
	}
	for _, cert := range c.certificates {
		ca := "ca-" + cert.Authority
		c.sign(file(cert.ID), "gencert", "-loglevel=4", "-ca", ca+".pem", "-ca-key", ca+"-key.pem",
			"-config", "config.json", "-profile", cert.Profile, file(cert.ID)+".json")
	}
	for range c.keys {
		c.run(c.wg, "genkey")
	}
	for _, node := range c.butane {
		c.run(c.butaneBin, "--strict", "--output", node+".ign", node+".bu")
		if c.drives > 0 {
			c.run(c.xorriso, "-as", "mkisofs", "-quiet", "-V", "config-2", "-R", "-o", node+".iso", node+".ign")
		}
	}
}

// sign is `cfssl ARGS | cfssljson -bare NAME`.
func (c *chain) sign(name string, args ...string) {
	sign, split := c.command(c.cfssl, args...), c.command(c.cfssljson, "-bare", name)
	pipe, err := sign.StdoutPipe()
	if err != nil {
		c.b.Fatal(err)
	}
	split.Stdin = pipe
	if err := sign.Start(); err != nil {
		c.b.Fatal(err)
	}
	out, err := split.CombinedOutput()
	if waited := sign.Wait(); err != nil || waited != nil {
		c.b.Fatalf("cfssl %s: %v, cfssljson: %v\n%s", strings.Join(args, " "), waited, err, out)
	}
}

func (c *chain) run(name string, args ...string) {
	if out, err := c.command(name, args...).CombinedOutput(); err != nil {
		c.b.Fatalf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
}

func (c *chain) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = c.dir
	return cmd
}
