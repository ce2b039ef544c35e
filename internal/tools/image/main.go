// Command image makes the container image of imgforge without a container engine, as
// an archive of an OCI image layout: for each architecture its programs, the tools that
// they run out of pinned Debian packages, and authorities. The same source tree and Go
// give the same archive.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/imgforge/imgforge/images/bundle"
	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/internal/artifact"
)

// created is the time of all in the image, 1 January 2026: any that is fixed would do.
const created = 1767225600

// tools are the programs that imgforge runs without being root: those of
// `imgforge version --tools`, but for mmdebstrap.
func tools() []string { return []string{"debugfs", "e2fsck", "mke2fs"} }

func main() {
	out := flag.String("o", "bin/imgforge-image.tar", "`FILE` to write, an archive of an OCI image layout")
	arches := flag.String("arch", "amd64,arm64", "architectures, separated by commas")
	name := flag.String("name", "imgforge:latest", "`NAME:TAG` that the archive gives the image")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	digest, err := write(ctx, *out, *name, strings.Split(*arches, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Printf("%s %s in %s\n", *name, digest, *out)
}

// write makes the images and writes the archive, whole or not at all.
func write(ctx context.Context, out, name string, arches []string) (v1.Hash, error) {
	scratch, err := os.MkdirTemp("", "imgforge-image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(scratch)
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range arches {
		image, err := imageFor(ctx, scratch, arch, arches)
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	folder := filepath.Join(scratch, "layout")
	if err := layOut(folder, name, index); err != nil {
		return v1.Hash{}, err
	}
	if err := artifact.WriteFile(out, 0o644, func(w io.Writer) error { return archive(w, folder) }); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}

// imageFor makes the image for one architecture. It holds the program for nodes of each.
func imageFor(ctx context.Context, scratch, arch string, arches []string) (v1.Image, error) {
	programs := map[string][]byte{}
	for _, p := range []struct{ name, pkg, arch string }{{"imgforge", "imgforge", arch}, {"imgforge-node-amd64", "imgforge-node", "amd64"}, {"imgforge-node-arm64", "imgforge-node", "arm64"}} {
		if p.pkg == "imgforge-node" && !strings.Contains(strings.Join(arches, ","), p.arch) {
			continue
		}
		data, err := program(ctx, scratch, p.pkg, p.arch)
		if err != nil {
			return nil, err
		}
		programs[p.name] = data
	}
	packages, err := packagesFor(ctx, arch)
	if err != nil {
		return nil, err
	}
	return bundle.Imgforge(arch, programs, packages, tools(), time.Unix(created, 0))
}

// program builds one of this module's programs, once for each architecture.
func program(ctx context.Context, scratch, name, arch string) ([]byte, error) {
	path := filepath.Join(scratch, name+"-"+arch)
	if data, err := os.ReadFile(path); err == nil {
		return data, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "github.com/imgforge/imgforge/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=", "GOAMD64=v1", "GOARM64=v8.0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build %s for %s: %w", name, arch, err)
	}
	return os.ReadFile(path)
}

// downloads is the user's own cache, the one that imgforge uses.
func downloads() (*cache.Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	c := cache.Open(filepath.Join(dir, "imgforge", "blobs"))
	c.Parallel = 4
	c.Client, err = cache.NewClient(nil)
	return c, err
}
