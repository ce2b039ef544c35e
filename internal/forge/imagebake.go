package forge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/images/bake"
	"github.com/imgforge/imgforge/images/disk"
	"github.com/imgforge/imgforge/images/gate"
	"github.com/imgforge/imgforge/images/gpt"
	"github.com/imgforge/imgforge/images/sparse"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/profiles"
)

// baseImage is the operating system's image, ready to be baked again and again.
type baseImage struct {
	path   string
	digest string
	kind   bake.Kind
	looked bool // over by the gate, so that its partitions are not told of twice
}

// kindOf is how the images of a family are laid out. Ubuntu's are as Debian's: the
// root partition by its type, and cloud-init.
func kindOf(family string) bake.Kind {
	switch family {
	case "fcos":
		return bake.FCOS
	case "flatcar":
		return bake.Flatcar
	case "imgforge":
		return bake.Imgforge
	}
	return bake.Debian
}

// base is the image to bake, checked against its digest; nil when there is none. What
// is compressed is unpacked once, for all disks.
func (m *imaging) base() (*baseImage, error) {
	b := &baseImage{kind: kindOf(m.plan.OS.Family)}
	var err error
	switch {
	case m.lock.Base != nil:
		b.digest = string(m.lock.Base.Digest)
		if b.path, err = m.from.Cache.Path(m.lock.Base.Digest); err != nil {
			return nil, err
		}
		r, _, err := m.from.Cache.Open(m.lock.Base.Digest)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if _, err := io.Copy(io.Discard, r); err != nil { // to its end: that checks it
			return nil, fmt.Errorf("base: %w", err)
		}
	case m.o.Base != "":
		b.path = m.o.Base
		if b.digest, err = fileDigest(b.path); err != nil {
			return nil, fmt.Errorf("--base: %w", err)
		}
	default:
		return nil, nil
	}
	return b, m.unpack(b)
}

// fileDigest is sha256:HEX of a file.
func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// unpack replaces a compressed base by a raw one beside the output.
func (m *imaging) unpack(b *baseImage) error {
	image, err := disk.Open(b.path, m.scratch)
	if err != nil {
		return err
	}
	defer image.Close()
	if image.Packed == "raw" || image.Packed == "qcow2" {
		return nil
	}
	b.path = filepath.Join(m.scratch, "base.raw")
	return disk.Write(b.path, 0o600, disk.Raw, image)
}

// bake makes one disk in every format.
func (m *imaging) bake(ctx context.Context, t target, base *baseImage) error {
	config, err := m.config(t)
	if err != nil {
		return err
	}
	job := bake.Job{Base: base.path, Kind: base.kind, Config: config, Time: imageTime, Platform: m.ignitionPlatform(),
		Instance: gpt.DerivedGUID("imgforge image", m.plan.Cluster, t.role).String()}
	if n, ok := m.plan.Node(t.node); ok {
		job.Instance, job.Hostname = n.InstanceID, n.Name
		if base.kind == bake.Imgforge {
			job.Instance = n.GUID
		}
		if job.Network, err = m.networkConfig(n); err != nil {
			return err
		}
	}
	for name, w := range map[string]artifact.Written{sysext.Name + ".raw": m.sysext, "images.tar": m.bundle} {
		source, err := images.FromFile(name, 0o644, w.Path)
		if err != nil {
			return err
		}
		job.Files = append(job.Files, source)
	}
	made := &artifact.Disk{Sealed: !m.o.Unsealed, Base: base.digest, Lock: m.digest, Sysext: m.sysext.SHA256, Bundle: m.bundle.SHA256}
	job.Inspect = func(ctx context.Context, c sparse.Content) error { return m.inspect(ctx, c, base, made) }
	var items []artifact.Item
	formats := m.o.Formats
	if len(formats) == 0 {
		formats = defaultFormats(m.plan.Platform.Provider)
	}
	for _, f := range formats {
		items = append(items, artifact.Item{Path: t.path(f), Kind: "image", Role: t.role, Node: t.node, Format: f, Disk: made, Secret: m.o.Unsealed})
	}
	_, err = m.tree.AddFiles(items, func(paths []string) error {
		for i, p := range paths {
			job.Outputs = append(job.Outputs, bake.Output{Path: p, Format: formats[i], Mode: 0o600})
		}
		_, err := bake.Bake(ctx, job)
		return err
	})
	m.made = append(m.made, t.name())
	return err
}

// inspect is the gate: what it finds ends the build.
func (m *imaging) inspect(ctx context.Context, c sparse.Content, base *baseImage, made *artifact.Disk) error {
	o := gate.Options{Own: []string{bake.PayloadLabel, images.CIDataLabel, images.ConfigDriveLabel}}
	if !m.o.Unsealed {
		o.Secrets = m.finder
	}
	r, err := gate.Scan(ctx, c, o)
	if err != nil {
		return err
	}
	if len(r.Findings) > 0 {
		return fmt.Errorf("the finished disk holds what no image may hold; nothing was written:\n  %s", strings.Join(r.Findings, "\n  "))
	}
	made.SHA256, made.Size = r.SHA256, r.Size
	if !base.looked {
		base.looked = true
		m.result.Unread = r.Unread
	}
	return nil
}

// config is what the disk of a target runs on first boot.
func (m *imaging) config(t target) ([]byte, error) {
	doc, err := m.bakedDocument(t)
	if err != nil {
		return nil, err
	}
	if err := profiles.Baked(doc); err != nil {
		return nil, err
	}
	o := m.options("", !m.o.Unsealed, m.store)
	// No provider sees it, and it must do without a network.
	o.Budget, o.ArtifactsURL = payload.Budget{}, ""
	p, err := payload.Render(doc, o)
	if err != nil {
		return nil, m.explain(err)
	}
	m.warn(m.problems(p.Warnings)...)
	return p.Data, m.judge(p.Data)
}

// bakedDocument is a role's document, with the slot of the node alone where the disk
// is for one; in the clear, that is the node's own document.
func (m *imaging) bakedDocument(t target) (*payload.Document, error) {
	if t.node == "" {
		if m.plan.Network.Mesh == "none" && m.plan.Network.Gateway != "" && m.plan.OS.Format == payload.FormatCloudInit {
			m.warn(m.problems([]payload.Problem{{Warning: true, File: m.file, Path: "roles." + t.role,
				Message: "the image of the role asks DHCP for an address on first boot: nobody tells a machine its own before it knows which it is",
				Fix:     "where no DHCP answers, build one image per machine with --node"}})...)
		}
		return m.document(t.role, "", m.store)
	}
	if m.o.Unsealed {
		return m.document("", t.node, m.store)
	}
	doc, err := m.document(t.role, "", m.store)
	if err != nil {
		return nil, err
	}
	doc.Slots = slices.DeleteFunc(doc.Slots, func(s artifact.Slot) bool { return s.Node != t.node })
	return doc, nil
}

// judge looks at the files of a config, which is packed where it lies on the disk.
func (m *imaging) judge(config []byte) error {
	found, err := payload.Audit(config)
	if err != nil {
		return err
	}
	files, err := payload.Files(config)
	if err != nil {
		return err
	}
	if !m.o.Unsealed {
		for _, f := range files {
			s := m.finder.Begin()
			s.Write(f.Contents) // never fails
			switch {
			case len(s.Found()) > 0:
				found = append(found, f.Path+": a key of the store")
			case gate.PrivateKey(f.Contents):
				found = append(found, f.Path+": a private key")
			}
		}
	}
	if len(found) > 0 {
		return fmt.Errorf("its configuration holds what no image may hold; nothing was written:\n  %s\ntake it out of extra, or hand such a configuration over as user-data", strings.Join(found, "\n  "))
	}
	return nil
}

// ignitionPlatform is what Fedora CoreOS calls the provider (Ignition's supported platforms).
func (m *imaging) ignitionPlatform() string {
	if m.plan.OS.Family != "fcos" {
		return ""
	}
	switch p := m.plan.Platform.Provider; p {
	case "ec2":
		return "aws"
	case "libvirt":
		return "qemu"
	case "proxmox":
		return "proxmoxve"
	default:
		return p
	}
}
