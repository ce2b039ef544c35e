// Package bake is the post-processor imgforge-bake: a builder's disk goes in, and the
// disk that a cluster's nodes boot from comes out.
package bake

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/imgforge/imgforge/packer/program"
)

// Config is what stands in the block of the post-processor.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The cluster file, with `imgforge.lock` beside it. Defaults to `cluster.yaml` in the folder in which Packer runs.
	ClusterFile string `mapstructure:"cluster_file"`
	// The store with the cluster's keys. Defaults to the folder `store` beside the cluster file.
	Store string `mapstructure:"store"`
	// The role whose disk this becomes: `master`, `proxy` or `worker`. Either this or `node`.
	Role string `mapstructure:"role"`
	// The one node whose disk this becomes.
	Node string `mapstructure:"node"`
	// `raw`, `qcow2` or `raw.zst`. Defaults to `qcow2`.
	Format string `mapstructure:"format"`
	// The folder that imgforge writes: the disk with its manifest, signatures and list of
	// components in `public`, payloads in `secret`. It must not exist, unless Packer runs with
	// `-force`. Defaults to `imgforge-BUILD`, after the name of the build.
	OutputDirectory string `mapstructure:"output_directory"`
	// Leave the keys of the nodes in the disk in the clear. Defaults to `false`.
	Unsealed bool `mapstructure:"unsealed"`
	// The folder where imgforge keeps what the lock names. Defaults to the user's own.
	Cache string `mapstructure:"cache"`
	// Fetch nothing: what the lock names must be in the cache. Defaults to `false`.
	Offline bool `mapstructure:"offline"`
	// The program imgforge-node for the nodes. Defaults to the one beside imgforge.
	Helper string `mapstructure:"helper"`
	// The program imgforge. Defaults to `imgforge`, looked for on `PATH`.
	ImgforgePath string `mapstructure:"imgforge_path"`
}

// PostProcessor is the post-processor.
type PostProcessor struct{ config Config }

// ConfigSpec says how the block is written.
func (p *PostProcessor) ConfigSpec() hcldec.ObjectSpec { return p.config.FlatMapstructure().HCL2Spec() }

// Configure reads the block, and refuses what can never work.
func (p *PostProcessor) Configure(raws ...interface{}) error {
	c := &p.config
	if err := config.Decode(c, nil, raws...); err != nil {
		return err
	}
	c.Format = cmp.Or(c.Format, "qcow2")
	c.OutputDirectory = cmp.Or(c.OutputDirectory, "imgforge-"+c.PackerBuildName)
	var errs *packersdk.MultiError
	if (c.Role == "") == (c.Node == "") {
		errs = packersdk.MultiErrorAppend(errs, errors.New("either `role` or `node` must be given: whose disk is it?"))
	}
	if formats := []string{"raw", "qcow2", "raw.zst"}; !slices.Contains(formats, c.Format) {
		errs = packersdk.MultiErrorAppend(errs, fmt.Errorf("`format` is %q: write one of %s", c.Format, strings.Join(formats, ", ")))
	}
	if errs != nil {
		return errs
	}
	return nil
}

// PostProcess bakes the artifact's disk. The artifact is removed afterwards, unless
// keep_input_artifact says that it stays.
func (p *PostProcessor) PostProcess(ctx context.Context, ui packersdk.Ui, from packersdk.Artifact) (packersdk.Artifact, bool, bool, error) {
	c := p.config
	base, err := disk(from)
	if err != nil {
		return nil, true, true, err
	}
	if _, err := os.Lstat(c.OutputDirectory); err == nil && !c.PackerForce {
		return nil, true, true, fmt.Errorf("%s is there already: remove it, name another output_directory, or run packer build -force", c.OutputDirectory)
	}
	ui.Say(fmt.Sprintf("imgforge bakes %s for %s", base, cmp.Or(c.Node, c.Role)))
	tool := program.Imgforge{Path: c.ImgforgePath, File: c.ClusterFile, Store: c.Store}
	out, err := tool.Run(ctx, ui.Say, c.args(base)...)
	if err != nil {
		return nil, true, true, err
	}
	for line := range strings.Lines(string(out)) { // where things are: no secret
		ui.Say(strings.TrimSuffix(line, "\n"))
	}
	made := &Artifact{dir: c.OutputDirectory, file: c.image(), role: c.Role}
	if _, err := os.Stat(made.file); err != nil {
		return nil, true, true, fmt.Errorf("imgforge made no disk: %w: the cluster file must say delivery: baked", err)
	}
	return made, false, false, nil
}

// args are the command line of imgforge.
func (c Config) args(base string) []string {
	args := []string{"build", "--base", base, "--out", c.OutputDirectory, "--format", c.Format}
	for _, f := range [...][2]string{{"--role", c.Role}, {"--node", c.Node}, {"--cache", c.Cache}, {"--helper", c.Helper}} {
		if f[1] != "" {
			args = append(args, f[0], f[1])
		}
	}
	if c.Unsealed {
		args = append(args, "--unsealed")
	}
	if c.Offline {
		args = append(args, "--offline")
	}
	return args
}

// image is where imgforge puts the disk.
func (c Config) image() string {
	part, name := "public", c.Role
	if c.Unsealed {
		part = "secret"
	}
	if c.Node != "" {
		name = filepath.Join("nodes", c.Node)
	}
	return filepath.Join(c.OutputDirectory, part, "images", name+"."+c.Format)
}

// disk is the one disk image of an artifact: its only file, or the file that builders
// of virtual machines call their disk.
func disk(from packersdk.Artifact) (string, error) {
	files := from.Files()
	if len(files) == 1 {
		return files[0], nil
	}
	if name, ok := from.State("diskName").(string); ok && name != "" {
		for _, f := range files {
			if filepath.Base(f) == filepath.Base(name) {
				return f, nil
			}
		}
	}
	if len(files) == 0 {
		return "", fmt.Errorf("the builder %s left no file on this machine, and a disk image is needed", from.BuilderId())
	}
	return "", fmt.Errorf("the artifact has %d files, and which of them is the disk cannot be told: put a post-processor \"artifice\" with that file alone before this one", len(files))
}
