package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
)

// pinLabel keeps the kubelet from collecting an image.
const (
	pinLabel = "io.cri-containerd.pinned"
	pinned   = "pinned"
)

// image is one image as a bundle or containerd's store has it.
type image struct {
	name, digest string
	pinned       bool
}

// readIndex reads what a bundle holds, which stands at its beginning.
func readIndex(path string) (out []image, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := tar.NewReader(f)
	h, err := r.Next()
	if err != nil || h.Name != artifact.BundleIndex {
		return nil, errors.New("it is no bundle of imgforge: it does not begin with " + artifact.BundleIndex)
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	if err := json.NewDecoder(r).Decode(&index); err != nil {
		return nil, fmt.Errorf("%s: %w", artifact.BundleIndex, err)
	}
	for _, m := range index.Manifests {
		name := m.Annotations[artifact.ImageNameAnnotation]
		if name == "" {
			return nil, fmt.Errorf("%s: an image has no name", artifact.BundleIndex)
		}
		out = append(out, image{name: name, digest: m.Digest})
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no image")
	}
	return out, nil
}

// client talks to containerd by its own command.
type client struct {
	ctr, socket string
}

func newClient(o Options) (client, error) {
	for _, dir := range filepath.SplitList(o.Programs) {
		path := filepath.Join(dir, "ctr")
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return client{path, o.Containerd}, nil
		}
	}
	return client{}, errors.New("ctr, which is part of containerd, is not in " + o.Programs)
}

// silent is a containerd that does not answer.
type silent struct{ error }

func (s *silent) Unwrap() error { return s.error }

func (c client) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.ctr, append([]string{"--address", c.socket, "--namespace", "k8s.io"}, args...)...)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("ctr %s: %s", strings.Join(args[:2], " "), lines[len(lines)-1])
	}
	return string(out), err
}

// list is what the store has.
func (c client) list(ctx context.Context) (out []image, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	text, err := c.run(ctx, "images", "ls")
	if err != nil {
		return nil, &silent{err}
	}
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 3 || !strings.HasPrefix(fields[2], "sha256:") {
			continue // the head
		}
		// The last column is the labels, separated by commas.
		labels := "," + fields[len(fields)-1] + ","
		out = append(out, image{fields[0], fields[2], strings.Contains(labels, ","+pinLabel+"="+pinned+",")})
	}
	return out, nil
}

// load imports a bundle. It may take minutes, and is only ended with the unit.
func (c client) load(ctx context.Context, path string) error {
	_, err := c.run(ctx, "images", "import", path)
	return err
}

func (c client) pin(ctx context.Context, name string) error {
	_, err := c.run(ctx, "images", "label", name, pinLabel+"="+pinned)
	return err
}
