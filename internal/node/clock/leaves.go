package clock

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

const (
	pkiPath = "/etc/kubernetes/pki"
	// rotatedPath is what a kubelet has got through the API in place of its first leaf.
	rotatedPath = "/var/lib/kubelet/pki/kubelet-client-current.pem"
	kubeletLeaf = pkiPath + "/kubelet.crt"
)

// leaf is a certificate that this node shows to others.
type leaf struct {
	path string // below the root
	*x509.Certificate
}

// judge is nil when the clock stands within the life of every leaf that the boot
// needs.
func (o Options) judge() *bootcode.Failure {
	now := o.Now()
	for _, l := range o.leaves() {
		if l.path == kubeletLeaf {
			if newer, ok := o.read(rotatedPath); ok && newer.valid(now) {
				continue
			}
		}
		switch {
		case now.Before(l.NotBefore):
			return bootcode.Fail(bootcode.TimeBefore, "the clock says %s, and %s begins %s", stamp(now), l.path, stamp(l.NotBefore))
		case now.After(l.NotAfter):
			return bootcode.Fail(bootcode.TimeAfter, "the clock says %s, and %s ended %s", stamp(now), l.path, stamp(l.NotAfter))
		}
	}
	return nil
}

func (l leaf) valid(now time.Time) bool { return !now.Before(l.NotBefore) && !now.After(l.NotAfter) }

// leaves are the certificates of Kubernetes and etcd whose key is on this node, but
// no authorities, in the order of their paths. What cannot be read is the business
// of who needs it.
func (o Options) leaves() []leaf {
	var out []leaf
	filepath.WalkDir(filepath.Join(o.Root, pkiPath), func(path string, d fs.DirEntry, err error) error {
		base, isCert := strings.CutSuffix(path, ".crt")
		if err != nil || !isCert || !exists(base+".key") {
			return nil
		}
		rel, err := filepath.Rel(o.Root, path)
		if err != nil {
			return nil
		}
		if l, ok := o.read("/" + rel); ok && !l.IsCA {
			out = append(out, l)
		}
		return nil
	})
	return out
}

// read is the first certificate of a file.
func (o Options) read(path string) (leaf, bool) {
	data, err := os.ReadFile(filepath.Join(o.Root, path))
	if err != nil {
		return leaf{}, false
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		return leaf{path, c}, err == nil
	}
	return leaf{}, false
}
