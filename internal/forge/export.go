package forge

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/scaleway"
)

// moduleFile is the only file of a module, and moduleMark what one of imgforge's holds.
const (
	moduleFile = "main.tf.json"
	moduleMark = `"Made by imgforge export terraform; the next export replaces it."`
)

// maxCloudInit is how many bytes a server's cloud_init may have for the provider (its schema, version 2.81).
const maxCloudInit = 127998

// ExportOptions choose what is written where.
type ExportOptions struct {
	Source Source
	// Dir is the module's folder; it is made when it is not there.
	Dir string
	// Out is the output folder of a build, whose payloads the module reads.
	Out string
}

// Exported is what was written.
type Exported struct {
	File  string
	Notes []string
}

// ExportTerraform writes a Terraform module with the objects that [App.ScalewayUp] makes.
func (a *App) ExportTerraform(o ExportOptions) (*Exported, error) {
	c, err := a.load(o.Source, storeFacts(o.Source.storeDir()))
	if err != nil {
		return nil, err
	}
	wanted, err := c.atScaleway(nil)
	if err != nil {
		return nil, err
	}
	if err := c.whole(wanted); err != nil {
		return nil, err
	}
	payloads := filepath.Join(o.Out, artifact.Secret, "nodes")
	relative, err := relativeTo(o.Dir, payloads)
	if err != nil {
		return nil, err
	}
	region := wanted.Zone[:max(0, strings.LastIndex(wanted.Zone, "-"))]
	data, err := scaleway.Terraform(wanted, scaleway.Module{Payloads: filepath.ToSlash(relative), Extension: c.extension(), Region: region})
	if err != nil {
		return nil, err
	}
	out := &Exported{File: filepath.Join(o.Dir, moduleFile), Notes: c.unbuilt(wanted, payloads)}
	if err := replaceable(out.File); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	return out, artifact.WriteBytes(out.File, 0o644, data)
}

// whole refuses servers that have no type or nothing to boot from.
func (c *cluster) whole(wanted *scaleway.Cluster) error {
	for _, n := range wanted.Nodes {
		if n.Type == "" {
			return invalidAt(c, "roles."+n.Role, n.Name+" has no machine type", "write roles."+n.Role+".type")
		}
		if n.Image == "" && wanted.Image == "" {
			return invalidAt(c, "platform.scaleway", n.Name+" has no image to boot from", "write roles."+n.Role+".image, the ID of one that you published, or platform.scaleway.image")
		}
	}
	return nil
}

func relativeTo(dir, path string) (string, error) {
	from, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	to, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.Rel(from, to)
}

// unbuilt names what the module reads and is not there yet, and what it wants besides.
func (c *cluster) unbuilt(wanted *scaleway.Cluster, payloads string) (notes []string) {
	missing, claims := 0, false
	for _, n := range wanted.Nodes {
		if n.Image != "" {
			claims = true
			continue
		}
		info, err := os.Stat(filepath.Join(payloads, n.Name+c.extension()))
		switch {
		case err != nil:
			missing++
		case info.Size() > maxCloudInit:
			notes = append(notes, fmt.Sprintf("the payload of %s has %d bytes, and the provider for Terraform takes %d, fewer than `imgforge up`: use that, or an image of the role", n.Name, info.Size(), maxCloudInit))
		}
	}
	if missing > 0 {
		notes = append(notes, fmt.Sprintf("%s of the payloads that it reads in %s are not there: run `imgforge build` before `terraform apply`", Counted(missing, "file"), payloads))
	}
	if claims {
		notes = append(notes, `servers of an image get their claim line from a variable: export TF_VAR_claims="$(imgforge claims --json | jq -c 'map({(.node): .line}) | add')"`)
	}
	return notes
}

// replaceable refuses to replace a file that somebody else wrote.
func replaceable(file string) error {
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !bytes.Contains(data, []byte(moduleMark)) {
		return fmt.Errorf("%s is not imgforge's: name another folder with -o", file)
	}
	return nil
}
