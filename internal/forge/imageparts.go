package forge

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/images/catalog"
	"github.com/imgforge/imgforge/images/sysext"
	"github.com/imgforge/imgforge/internal/artifact"
)

// helperProgram is the node's own program, which extension and keepalived's image carry.
const helperProgram = "imgforge-node"

// extension writes the system extension.
func (m *imaging) extension() error {
	ships, err := catalog.ShipsOf(m.plan.OS.Family, m.plan.OS.Channel, m.plan.OS.Arch)
	if err != nil {
		return err
	}
	family, arch := m.plan.OS.Family, m.plan.OS.Arch
	e := sysext.Extension{Family: family, Arch: arch, Shipped: shipped(ships), Time: imageTime}
	programs := sysext.Programs(e.Shipped)
	if m.programs, err = m.lock.ProgramFiles(m.from.Cache, programs); err != nil {
		return err
	}
	e.Files = append(slices.Clip(m.programs), sysext.Bytes("usr/bin/"+helperProgram, 0o755, m.helper))
	var packaged []string
	for _, p := range programs {
		if p.Debian != "" && (p.For == "" || p.For == m.plan.Network.Mesh) {
			packaged = append(packaged, p.Name)
		}
	}
	if len(packaged) > 0 {
		packages, done, err := m.lock.OpenPackages(m.from.Cache, catalog.UseSysext)
		if err != nil {
			return err
		}
		defer done()
		files, err := sysext.FromPackages(arch, packages, packaged)
		if err != nil {
			return err
		}
		e.Files = append(e.Files, files...)
	}
	item := artifact.Item{Path: "sysext/" + sysext.FileName(family, m.plan.Kubernetes.Version, arch), Kind: "sysext", Format: "squashfs"}
	m.sysext, err = m.add(item, func(f *os.File) error {
		_, err := sysext.Write(f, e)
		return err
	})
	return err
}

// containers writes the bundle of container images.
func (m *imaging) containers(ctx context.Context) (err error) {
	all := m.lock.BundleImages(m.from.Cache)
	for _, i := range m.lock.Images {
		if !i.Made {
			continue
		}
		made, err := m.keepalived(i.Name)
		if err != nil {
			return err
		}
		m.keepalivedDigest = made.Digest
		all = append(all, made)
	}
	item := artifact.Item{Path: fmt.Sprintf("bundles/images-kubernetes-%s-%s.tar", m.plan.Kubernetes.Version, m.plan.OS.Arch), Kind: "bundle", Format: "oci-layout"}
	m.bundle, err = m.add(item, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if err := bundle.Write(ctx, w, m.plan.OS.Arch, all); err != nil {
			return err
		}
		return w.Flush()
	})
	return err
}

// keepalived is the image that imgforge makes itself.
func (m *imaging) keepalived(ref string) (bundle.Image, error) {
	packages, done, err := m.lock.OpenPackages(m.from.Cache, catalog.UseKeepalived)
	if err != nil {
		return bundle.Image{}, err
	}
	defer done()
	image, err := bundle.Keepalived(m.plan.OS.Arch, packages, m.helper, time.Unix(imageTime, 0))
	if err != nil {
		return bundle.Image{}, err
	}
	digest, err := image.Digest()
	if err != nil {
		return bundle.Image{}, err
	}
	return bundle.Image{Ref: ref, Digest: digest.String(), From: bundle.Made(image)}, nil
}
