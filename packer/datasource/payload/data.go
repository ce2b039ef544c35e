// Package payload is the data source imgforge-payload: the user-data of a role or node.
package payload

//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Config,Output

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/packer-plugin-sdk/common"
	"github.com/hashicorp/packer-plugin-sdk/hcl2helper"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/template/config"
	"github.com/zclconf/go-cty/cty"

	"github.com/imgforge/imgforge/packer/program"
)

// Config is what stands in the block of the data source.
type Config struct {
	common.PackerConfig `mapstructure:",squash"`

	// The cluster file. Defaults to `cluster.yaml` in the folder in which Packer runs.
	ClusterFile string `mapstructure:"cluster_file"`
	// The store with the cluster's keys. Defaults to the folder `store` beside the cluster file.
	Store string `mapstructure:"store"`
	// The role whose payload this is: `master`, `proxy` or `worker`. Either this or `node`.
	Role string `mapstructure:"role"`
	// The node whose payload this is. It holds the secrets of that node alone.
	Node string `mapstructure:"node"`
	// `ignition`, `cloud-init` or `butane`. Defaults to what the operating system reads.
	Format string `mapstructure:"format"`
	// Encrypt each slot of a role's payload to the claim line of its node, which each server is
	// given at first boot. Defaults to `false`: then the payload itself is a secret.
	Sealed bool `mapstructure:"sealed"`
	// The program imgforge. Defaults to `imgforge`, looked for on `PATH`.
	ImgforgePath string `mapstructure:"imgforge_path"`
}

// Output is what the data source knows afterwards.
type Output struct {
	// The payload. Hand it on through a sensitive local only.
	UserData string `mapstructure:"user_data"`
	// The same in base64, for builders that want that.
	UserDataBase64 string `mapstructure:"user_data_base64"`
}

// Datasource is the data source.
type Datasource struct{ config Config }

// ConfigSpec says how the block is written.
func (d *Datasource) ConfigSpec() hcldec.ObjectSpec { return d.config.FlatMapstructure().HCL2Spec() }

// OutputSpec says what Output is in HCL.
func (d *Datasource) OutputSpec() hcldec.ObjectSpec {
	return (&Output{}).FlatMapstructure().HCL2Spec()
}

// Configure reads the block, and refuses what can never work.
func (d *Datasource) Configure(raws ...interface{}) error {
	if err := config.Decode(&d.config, nil, raws...); err != nil {
		return err
	}
	var errs *packersdk.MultiError
	if (d.config.Role == "") == (d.config.Node == "") {
		errs = packersdk.MultiErrorAppend(errs, errors.New("either `role` or `node` must be given: whose payload is it?"))
	}
	if d.config.Sealed && d.config.Node != "" {
		errs = packersdk.MultiErrorAppend(errs, errors.New("`sealed` goes with `role`: a node's payload holds the secrets of that node alone"))
	}
	if errs != nil {
		return errs
	}
	return nil
}

// Execute renders the payload. What imgforge warns of is written to Packer's log.
func (d *Datasource) Execute() (cty.Value, error) {
	null := cty.NullVal(cty.EmptyObject)
	c := d.config
	args := []string{"render"}
	for flag, value := range map[string]string{"--role": c.Role, "--node": c.Node, "--format": c.Format} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	if c.Sealed {
		args = append(args, "--sealed")
	}
	data, err := program.Imgforge{Path: c.ImgforgePath, File: c.ClusterFile, Store: c.Store}.Run(context.Background(), program.Log, args...)
	if err != nil {
		return null, err
	}
	if !utf8.Valid(data) {
		return null, errors.New("the payload is no text, which Packer could not hand on whole")
	}
	out := Output{UserData: string(data), UserDataBase64: base64.StdEncoding.EncodeToString(data)}
	// Should anything in this process ever log them.
	packersdk.LogSecretFilter.Set(out.UserData, strings.TrimSpace(out.UserData), out.UserDataBase64)
	return hcl2helper.HCL2ValueFromConfig(out, d.OutputSpec()), nil
}
