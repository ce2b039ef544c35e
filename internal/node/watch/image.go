package watch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// imageRest is how long a complete set of images is believed: listing them costs a
// process, and what static pods use does not go away.
const imageRest = 5 * time.Minute

// imageLooker compares the images that this node starts by itself with those in
// containerd's store.
type imageLooker struct {
	complete time.Time // when all were last seen
	last     Images
	word     lastWord
}

func (i *imageLooker) look(ctx context.Context, o Options, mesh string) Images {
	if !i.complete.IsZero() && o.Now().Sub(i.complete) < imageRest {
		return i.last
	}
	wanted := wantedImages(o.Root)
	i.last, i.complete = Images{NoPrograms: missingPrograms(o.Programs, mesh), Count: len(wanted)}, time.Time{}
	if len(i.last.NoPrograms) > 0 {
		return i.last
	}
	have, err := listImages(ctx, o)
	if err != nil || slices.ContainsFunc(wanted, func(w wantedImage) bool { return !w.in(have) }) {
		i.last.Importing = state(ctx, o.Programs, importUnit) == importUnit+" is activating (start)"
	}
	if err != nil {
		i.last.Containerd = brief(err) + after("\n", i.word.of(ctx, o, "containerd.service"))
		return i.last
	}
	for _, w := range wanted {
		if !w.in(have) {
			i.last.Missing = append(i.last.Missing, w.image+", which "+w.file+" names")
		}
	}
	if len(i.last.Missing) == 0 {
		i.complete = o.Now()
	}
	return i.last
}

// missingPrograms are those that no node can do without.
func missingPrograms(dirs, mesh string) (out []string) {
	needed := []struct{ name, what string }{{"kubelet", "Kubernetes"}, {"containerd", "containerd"}, {"ctr", "containerd"}, {"nft", "nftables"}}
	switch mesh {
	case tinc:
		needed = append(needed, struct{ name, what string }{"tincd", "tinc"})
	case wireguard:
		needed = append(needed, struct{ name, what string }{"wg", "wireguard-tools"})
	}
	for _, n := range needed {
		if program(dirs, n.name) == "" {
			out = append(out, fmt.Sprintf("%s, which is part of %s", n.name, n.what))
		}
	}
	return out
}

// listImages are the names of all images in the store of the kubelet's containers.
func listImages(ctx context.Context, o Options) ([]string, error) {
	if _, err := os.Stat(o.Containerd); err != nil {
		return nil, err
	}
	out, err := output(ctx, o.Programs, "ctr", "--address", o.Containerd, "--connect-timeout=3s", "--timeout=3s", "--namespace=k8s.io", "images", "ls", "-q")
	return strings.Fields(out), err
}

// wantedImage is an image and the file that names it.
type wantedImage struct{ image, file string }

// in tells whether a store that has images of these names has it.
func (w wantedImage) in(have []string) bool {
	return slices.Contains(have, artifact.ImageName(w.image))
}

// importUnit brings the images that came with the machine's image into the store.
const importUnit = "imgforge-images.service"

// wantedImages are those of the static pods, and of the sandbox that each pod needs.
func wantedImages(root string) (out []wantedImage) {
	files, _ := filepath.Glob(filepath.Join(root, "/etc/kubernetes/manifests/[^.]*"))
	files = append(files, filepath.Join(root, "/etc/imgforge/etcd/etcd.yaml"), filepath.Join(root, "/etc/containerd/config.toml"))
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // etcd's is on masters alone
		}
		for _, image := range imagesIn(string(data)) {
			if !slices.ContainsFunc(out, func(w wantedImage) bool { return w.image == image }) {
				out = append(out, wantedImage{image, onNode(root, name)})
			}
		}
	}
	return out
}

// imagesIn finds the images that a manifest never pulls, and the sandbox of
// containerd's configuration. A user's own manifest that may pull is not waited for.
func imagesIn(text string) (out []string) {
	never := strings.Contains(text, "Never")
	named := regexp.MustCompile(`^\s*-?\s*(image:|sandbox =)\s*["']?([^\s"']+)`)
	for line := range strings.Lines(text) {
		m := named.FindStringSubmatch(line)
		if m != nil && (never || m[1] != "image:") {
			out = append(out, m[2])
		}
	}
	return out
}
