package watch

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// journalRest is how long what tincd said is believed.
const journalRest = 10 * time.Second

// lookTinc looks at the node's own key, at the machines it dials, and at what tincd
// says of those that fail to prove who they are. tinc 1.0 tells that in its log alone.
func (m *meshLooker) lookTinc(ctx context.Context, out *Mesh) {
	m.met = m.met || out.Answered > 0
	conf := settings(filepath.Join(m.dir, "tinc.conf"))
	out.OwnKey = m.ownKey(conf)
	for _, hub := range conf["ConnectTo"] {
		h := Hub{Name: hub}
		if address := settings(filepath.Join(m.dir, "hosts", hub))["Address"]; len(address) > 0 {
			fields := append(strings.Fields(address[0]), "655")
			h.Where = net.JoinHostPort(fields[0], fields[1])
		}
		if out.Answered == 0 && h.Where != "" {
			remote, err := dial(ctx, h.Where)
			if h.Reached = err == nil; err != nil {
				h.Why = brief(reason(err))
			} else {
				h.Where = remote.String()
			}
		}
		// Who was never let in is sent away again and again for its key, not for a twin.
		if to, err := netip.ParseAddrPort(h.Where); err == nil && m.met && m.habits.twin(hub, connection(to), m.o.Now()) {
			out.Twins = append(out.Twins, fmt.Sprintf("the connection to %s at %s is another one again and again, although %s is there", hub, h.Where, hub))
		}
		out.Hubs = append(out.Hubs, h)
	}
	rest := journalRest
	if out.Answered > 0 {
		rest *= 3
	}
	if now := m.o.Now(); now.Sub(m.read) >= rest {
		m.read, m.refused = now, refusals(journal(ctx, m.o.Programs, meshUnit))
	}
	out.Refused = m.refused
}

// ownKey is why the node's own key cannot be right: the public half that its peers
// know is in its own host file too.
func (m *meshLooker) ownKey(conf map[string][]string) string {
	name := strings.Join(conf["Name"], "")
	private, err := os.ReadFile(filepath.Join(m.dir, "rsa_key.priv"))
	if err != nil || name == "" {
		return "" // tinc 1.1's keys, or none at all: then tincd does not run
	}
	public, err := os.ReadFile(filepath.Join(m.dir, "hosts", name))
	if err != nil {
		return ""
	}
	key, known := rsaKey(private), rsaKey(public)
	if key != nil && known != nil && !key.Equal(known) {
		dir := onNode(m.o.Root, m.dir)
		return fmt.Sprintf("the private key %s/rsa_key.priv does not belong to the public one in %s/hosts/%s", dir, dir, name)
	}
	return ""
}

// rsaKey is the public key in a file that holds either half; nil when there is none.
func rsaKey(text []byte) *rsa.PublicKey {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return &key.PublicKey
	}
	key, err := x509.ParsePKCS1PublicKey(block.Bytes)
	if err != nil {
		return nil
	}
	return key
}

// settings are the "name = value" lines of a file of tinc.
func settings(path string) map[string][]string {
	out := map[string][]string{}
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(name, "#") {
			out[name] = append(out[name], strings.TrimSpace(value))
		}
	}
	return out
}

// refusals are the machines that tincd, 1.0 or 1.1, could not agree with about keys.
// What is left out are strangers that did not say a name.
func refusals(log []string) (out []string) {
	patterns := []struct{ match, says string }{
		{`^Possible intruder (\S+) \((\S+) port \d+\)`, "%s at %s uses another key"},
		{`^Bogus data received from (\S+) \((\S+) port \d+\)`, "%s at %s uses another key"},
		{`^Error during decryption of meta key for (\S+) \((\S+) port \d+\)`, "%s at %s uses another key"},
		{`^Error while processing (?:METAKEY|CHALLENGE|CHAL_REPLY|ACK) from (\S+) \((\S+) port \d+\)`, "%s at %s uses another key"},
		{`^Failed to (?:verify|decrypt).* (\S+) \((\S+) port \d+\)`, "%s at %s uses another key"},
		{`^Peer (?P<at>\S+) port \d+ had unknown identity \((?P<name>\S+)\)`, "%s at %s is not known here"},
	}
	for _, p := range patterns {
		re := regexp.MustCompile(p.match)
		for _, line := range log {
			m := re.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			name, at := m[1], m[2]
			if re.SubexpIndex("at") == 1 {
				name, at = at, name
			}
			if text := fmt.Sprintf(p.says, name, at); name != "<unknown>" && !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	slices.Sort(out)
	return out
}

// connection is the local end of the established connection to a hub, from the
// kernel's list, and empty when there is none.
func connection(to netip.AddrPort) string {
	if !to.Addr().Unmap().Is4() {
		return ""
	}
	four := to.Addr().Unmap().As4()
	const established = "01"
	remote := fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(four[:]), to.Port())
	data, _ := os.ReadFile("/proc/thread-self/net/tcp")
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 3 && f[2] == remote && f[3] == established {
			return f[1]
		}
	}
	return ""
}
