// Package scalewayimport is the post-processor imgforge-scaleway-import: a baked disk
// becomes an image that servers at Scaleway boot from.
package scalewayimport

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/imgforge/imgforge/packer/post-processor/bake"
	"github.com/imgforge/imgforge/packer/program"
)

// Config is what stands in the block of the post-processor. The key to Scaleway's API is
// taken from the environment (SCW_ACCESS_KEY, SCW_SECRET_KEY, SCW_DEFAULT_PROJECT_ID) or
// from Scaleway's own configuration file, and never from a template.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The cluster file, whose `platform.zone` gets the image. Defaults to `cluster.yaml` in the folder in which Packer runs.
	ClusterFile string `mapstructure:"cluster_file"`
	// The store with the cluster's keys. Defaults to the folder `store` beside the cluster file.
	Store string `mapstructure:"store"`
	// The role whose disk this is. Defaults to the role that `imgforge-bake` baked it for.
	Role string `mapstructure:"role"`
	// Upload to this bucket of yours in the zone's region, which stays. Defaults to one that is made and removed.
	Bucket string `mapstructure:"bucket"`
	// How many images of the role stay, this one included. Defaults to 3.
	Keep int `mapstructure:"keep"`
	// Allow a disk that is not known to be sealed. Defaults to `false`.
	WithSecrets bool `mapstructure:"with_secrets"`
	// The program imgforge. Defaults to `imgforge`, looked for on `PATH`.
	ImgforgePath string `mapstructure:"imgforge_path"`
}

// PostProcessor is the post-processor.
type PostProcessor struct{ config Config }

// ConfigSpec says how the block is written.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure reads the block, and refuses what can never work.
func (p *PostProcessor) Configure(raws ...interface{}) error {
	if err := config.Decode(&p.config, nil, raws...); err != nil {
		return err
	}
	if p.config.Keep < 0 {
		return fmt.Errorf("`keep` is %d: the image that is imported is one of those that stay; write 1 or more", p.config.Keep)
	}
	p.config.Keep = cmp.Or(p.config.Keep, 3)
	return nil
}

// PostProcess publishes the artifact's disk. The disk stays here, unless
// keep_input_artifact says otherwise.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, from packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	c := p.config
	if baked, ok := from.State(bake.RoleState).(string); ok {
		c.Role = cmp.Or(c.Role, baked)
	}
	if c.Role == "" {
		return nil, true, true, errors.New("`role` is needed: the artifact does not say whose disk it is")
	}
	files := from.Files()
	if len(files) != 1 {
		return nil, true, true, fmt.Errorf("the artifact has %d files, and one disk in qcow2 is wanted", len(files))
	}
	tool := program.Imgforge{Path: c.ImgforgePath, File: c.ClusterFile, Store: c.Store}
	out, err := tool.Run(ctx, ui.Say, c.args(files[0])...)
	if err != nil {
		return nil, true, true, err
	}
	made, err := read(out)
	if err != nil {
		return nil, true, true, err
	}
	return made, true, false, nil
}

// args are the command line of imgforge.
func (c Config) args(image string) []string {
	args := []string{"publish", "scaleway", "--json", "--image", image, "--role", c.Role, "--keep", strconv.Itoa(c.Keep)}
	if c.Bucket != "" {
		args = append(args, "--bucket", c.Bucket)
	}
	if c.WithSecrets {
		args = append(args, "--with-secrets")
	}
	return args
}

// read takes the image from what imgforge printed.
func read(out []byte) (*Artifact, error) {
	var all []struct{ Role, Image, Digest string }
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("imgforge publish scaleway --json: %w", err)
	}
	if len(all) != 1 || all[0].Image == "" {
		return nil, errors.New("imgforge publish scaleway named no image: run it by hand to see why")
	}
	return &Artifact{role: all[0].Role, image: all[0].Image, digest: all[0].Digest}, nil
}
