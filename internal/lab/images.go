package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/images/deb"
	"github.com/imgforge/imgforge/internal/plan"
)

// ProbeImage is the lab's own image, with which its checks act inside of pods:
// sh, wget, nslookup, nc and httpd.
const ProbeImage = "lab/probe:1"

// image is what one container image is made of. Programs lie where the images of
// their projects have them, so that manifests are the same for both.
type image struct {
	ref string
	// runs is the program that a container starts when nothing else is asked for.
	runs string
	// programs are static.
	programs []placed
	// packages are Debian's, with what they need and nothing else.
	packages []string
	// links are made where nothing is yet.
	links []link
	// product tells that imgforge makes it itself, for every cluster.
	product bool
}

// placed is a program of the lab at a path of an image.
type placed struct{ name, at string }

type link struct{ at, to string }

// imagesOf are the images of a cluster under the names that the plan has for
// them, and the lab's own.
func imagesOf(i plan.Images) []image {
	return []image{
		static(i.Pause, "pause", "/pause"),
		static(i.Etcd, "etcd", "/usr/local/bin/etcd"),
		static(i.APIServer, "kube-apiserver", "/usr/local/bin/kube-apiserver"),
		static(i.ControllerManager, "kube-controller-manager", "/usr/local/bin/kube-controller-manager"),
		static(i.Scheduler, "kube-scheduler", "/usr/local/bin/kube-scheduler"),
		static(i.CoreDNS, "coredns", "/coredns"),
		static(i.MetricsServer, "metrics-server", "/metrics-server"),
		static(i.KubeProxy, "kube-proxy", "/usr/local/bin/kube-proxy").with(netfilter(), "iptables", "nftables", "conntrack", "kmod"),
		static(i.Flannel, "flanneld", "/opt/bin/flanneld").with(slices.Concat(netfilter(), tools("cp", "grep", "ln", "mv", "sh", "sleep", "wget")), "iptables", "nftables", "busybox-static"),
		static(i.FlannelCNI, "cni-flannel", "/flannel").with(tools("cp", "sh"), "busybox-static"),
		image{ref: i.HAProxy, runs: "haproxy"}.with(nil, "haproxy"),
		{ref: i.Keepalived, runs: "keepalived", product: true},
		image{ref: ProbeImage, runs: "sh"}.with(tools("cat", "cp", "env", "hostname", "httpd", "nc", "nslookup", "sh", "sleep", "wget"), "busybox-static"),
	}
}

// nodeHelper is imgforge's own program, which changes more often than any other.
const nodeHelper = "imgforge-node"

// static is an image of one program and nothing else.
func static(ref, program, at string) image {
	return image{ref: ref, runs: at, programs: []placed{{program, at}}}
}

// with adds Debian's packages, and links to what is in them.
func (i image) with(links []link, packages ...string) image {
	i.links, i.packages = links, packages
	return i
}

// netfilter are the names that Debian's alternatives give to the iptables of nftables.
func netfilter() []link {
	var out []link
	for _, family := range [...]string{"iptables", "ip6tables"} {
		for _, verb := range [...]string{"", "-save", "-restore"} {
			out = append(out, link{"/usr/sbin/" + family + verb, "xtables-nft-multi"})
		}
	}
	return out
}

// tools are names of busybox.
func tools(names ...string) []link {
	out := make([]link, 0, len(names))
	for _, name := range names {
		out = append(out, link{"/bin/" + name, "busybox"})
	}
	return out
}

// content names all that the image is made of.
func (l *Lab) content(ctx context.Context, i image) ([]string, error) {
	if i.product {
		packages, err := l.choose(ctx, keepalivedPackages())
		if err != nil {
			return nil, err
		}
		helper, err := l.contentOf(nodeHelper)
		return append([]string{i.ref, "keepalived 1", helper}, contentOfPackages(packages)...), err
	}
	out := append([]string{i.ref, i.runs, release, fmt.Sprint(i.links)}, i.packages...)
	for _, p := range i.programs {
		sum, err := l.contentOf(p.name)
		if err != nil {
			return nil, err
		}
		out = append(out, p.at, sum)
	}
	return out, nil
}

// makeImage makes one image, whose layer lies at path and must stay while the image is read.
func (l *Lab) makeImage(ctx context.Context, path string, i image) (v1.Image, error) {
	if i.product {
		return l.keepalived(ctx)
	}
	root := path + ".root"
	defer os.RemoveAll(root)
	if len(i.packages) > 0 {
		tree, err := l.cached("packages", keyOf(append([]string{"packages 2", release}, i.packages...)), func(dir string) error {
			return l.extract(ctx, dir, i.packages)
		})
		if err != nil {
			return nil, err
		}
		if _, err := l.run(ctx, "cp", "-al", tree, root); err != nil {
			return nil, err
		}
	}
	for _, p := range i.programs {
		if err := l.place(filepath.Join(root, filepath.Dir(p.at)), p.name, filepath.Base(p.at)); err != nil {
			return nil, err
		}
	}
	for _, made := range i.links {
		if err := os.Symlink(made.to, filepath.Join(root, made.at)); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return imageOf(path, i.runs, root)
}

// keepalivedPackages are what the image of keepalived is made of, with what they need.
func keepalivedPackages() []string { return []string{"keepalived"} }

// keepalived is the product's own image, of this machine's archive.
func (l *Lab) keepalived(ctx context.Context) (made v1.Image, err error) {
	path, err := l.Tool(nodeHelper)
	if err != nil {
		return nil, err
	}
	helper, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	packages, err := l.choose(ctx, keepalivedPackages())
	if err != nil {
		return nil, err
	}
	err = l.opened(ctx, keepalivedPackages(), packages, func(all []*deb.Package) error {
		made, err = bundle.Keepalived("amd64", all, helper, time.Unix(treeTime, 0))
		return err
	})
	return made, err
}

// extract makes a tree of Debian's packages as they are, without the scripts of
// their maintainers and without what the machine underneath calls itself.
func (l *Lab) extract(ctx context.Context, dir string, packages []string) error {
	if err := l.debian(ctx, dir, "extract", packages); err != nil {
		return err
	}
	for _, path := range [...]string{"etc/hostname", "etc/resolv.conf"} {
		if err := os.RemoveAll(filepath.Join(dir, path)); err != nil {
			return err
		}
	}
	return addUsers(dir)
}

// addUsers names the users that programs look up: packages that are only
// extracted bring none.
func addUsers(root string) error {
	for path, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"etc/group":  "root:x:0:\nnogroup:x:65534:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
