package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/imgforge/imgforge/internal/spec"
)

// GUID derives a UUID (version 8, RFC 9562) from its parts. Every part carries
// its length, so that ("ab", "c") and ("a", "bc") differ.
func GUID(parts ...string) string {
	b := digest(parts...)
	b[6] = b[6]&0x0f | 0x80 // version 8: made by a rule of our own
	b[8] = b[8]&0x3f | 0x80 // variant of RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// digest is the hash that every derived identifier starts from.
func digest(parts ...string) [sha256.Size]byte {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)) + ":" + p + ",")
	}
	return sha256.Sum256([]byte(b.String()))
}

// instanceID is what cloud-init compares to tell a new machine from a reboot: it
// names the node for readers and is the same in every build.
func instanceID(cluster, node string) string {
	sum := digest("instance", cluster, node)
	return fmt.Sprintf("%s-%s-%x", cluster, node, sum[:4])
}

// etcdToken keeps two clusters that share a network from forming one.
func etcdToken(cluster string) string {
	sum := digest("etcd", cluster)
	return fmt.Sprintf("%s-%x", cluster, sum[:4])
}

// meshName is a name in tinc's alphabet, [A-Za-z0-9_].
func meshName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// vrrpIDs are the virtual router ids of masters and proxies, 1 to 255 and never
// equal: routers with one id on one network fight for each other's address. Zero
// means that the role floats none.
func vrrpIDs(c *spec.Cluster, sizes []roleSize) (masters, proxies int) {
	id := c.Network.VRRPID
	if id == 0 {
		sum := digest("vrrp", c.Name)
		id = 1 + int(binary.BigEndian.Uint16(sum[:2])%255)
	}
	if c.Endpoint.Mode == "vip" {
		masters = id
	}
	if c.Roles.Proxy.PublicIP != "" && slotsOf(sizes, Proxy) > 0 {
		proxies = id%255 + 1
	}
	return masters, proxies
}
