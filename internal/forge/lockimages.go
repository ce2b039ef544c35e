package forge

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/vincent-petithory/dataurl"
	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/profiles/addons"
)

// images are the container images of a cluster, found in what is rendered and
// not in a list that somebody could forget to extend: the manifests that nodes
// carry, those of the user's own Butane, what masters apply, and the sandbox.
func (c *cluster) images() ([]string, error) {
	found := map[string]bool{}
	for _, r := range c.plan.Roles {
		if r.Slots == 0 {
			continue
		}
		files, err := c.nodeFiles(c.plan.NodesOf(r.Name)[0].Name)
		if err != nil {
			return nil, err
		}
		if err := imagesOfNode(files, found); err != nil {
			return nil, fmt.Errorf("images of role %s: %w", r.Name, err)
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// nodeFiles are the files of a node's payload, by path, with placeholders for keys.
func (c *cluster) nodeFiles(node string) (map[string][]byte, error) {
	doc, err := c.configuration("", node, placeholdersFor(c.plan, c.spec.PKI.Algorithm))
	if err != nil {
		return nil, err
	}
	p, err := payload.Render(doc, payload.Options{Format: payload.FormatIgnition})
	if err != nil {
		return nil, c.explain(err)
	}
	files := map[string][]byte{}
	return files, ignitionFiles(p.Data, files)
}

// ignitionFiles reads the files of an Ignition configuration that carries all of
// its contents, those that it is replaced by or merged with included.
func ignitionFiles(data []byte, out map[string][]byte) error {
	type resource struct {
		Source      string
		Compression string
	}
	var config struct {
		Ignition struct {
			Config struct {
				Replace resource
				Merge   []resource
			}
		}
		Storage struct {
			Files []struct {
				Path     string
				Contents resource
			}
		}
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return fmt.Errorf("read back the Ignition configuration: %w", err)
	}
	for _, other := range append(config.Ignition.Config.Merge, config.Ignition.Config.Replace) {
		if other.Source == "" {
			continue
		}
		inner, err := inline(other.Source, other.Compression)
		if err != nil {
			return err
		}
		if err := ignitionFiles(inner, out); err != nil {
			return err
		}
	}
	for _, f := range config.Storage.Files {
		if !strings.HasPrefix(f.Contents.Source, "data:") {
			continue // the user's own, from somewhere else
		}
		contents, err := inline(f.Contents.Source, f.Contents.Compression)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Path, err)
		}
		out[f.Path] = contents
	}
	return nil
}

func inline(source, compression string) ([]byte, error) {
	u, err := dataurl.DecodeString(source)
	if err != nil {
		return nil, fmt.Errorf("read back contents: %w", err)
	}
	if compression != "gzip" {
		return u.Data, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(u.Data))
	if err != nil {
		return nil, fmt.Errorf("read back contents: %w", err)
	}
	return io.ReadAll(z)
}

const containerdConfigPath = "/etc/containerd/config.toml"

// imagesOfNode adds the images that a node's files name.
func imagesOfNode(files map[string][]byte, found map[string]bool) error {
	sandbox := regexp.MustCompile(`(?m)^\s*sandbox\s*=\s*['"]([^'"]+)['"]`).FindSubmatch(files[containerdConfigPath])
	if sandbox == nil {
		return errors.New(containerdConfigPath + " names no sandbox image")
	}
	found[string(sandbox[1])] = true
	for _, path := range slices.Sorted(maps.Keys(files)) {
		manifestImages(files[path], found)
	}
	data, ok := files[artifact.ClusterFilePath]
	if !ok {
		return errors.New("there is no " + artifact.ClusterFilePath)
	}
	file, err := artifact.ParseClusterFile(data)
	if err != nil {
		return err
	}
	if file.Addons == nil {
		return nil
	}
	// Which images the add-ons have does not depend on a certificate.
	rendered, err := addons.Render(file, addons.Facts{KubeletCA: []byte("-"), MetricsCert: []byte("-"), MetricsKey: []byte("-")})
	if err != nil {
		return err
	}
	for _, a := range rendered {
		for _, o := range a.Objects {
			manifestImages(o.JSON, found)
		}
	}
	return nil
}

// manifestImages adds the images of every container of a text that is one or
// several Kubernetes objects; of any other text there are none.
func manifestImages(text []byte, found map[string]bool) {
	if !bytes.Contains(text, []byte("image")) || !bytes.Contains(text, []byte("apiVersion")) {
		return
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var object map[string]any
		if dec.Decode(&object) != nil {
			return
		}
		if object["apiVersion"] != nil && object["kind"] != nil {
			containerImages(object, found)
		}
	}
}

// containerImages walks an object: a pod stands at another place in every kind.
func containerImages(v any, found map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if list, ok := value.([]any); ok && (key == "containers" || key == "initContainers") {
				for _, item := range list {
					if container, ok := item.(map[string]any); ok {
						if image, ok := container["image"].(string); ok && image != "" {
							found[image] = true
						}
					}
				}
			}
			containerImages(value, found)
		}
	case []any:
		for _, item := range v {
			containerImages(item, found)
		}
	}
}
