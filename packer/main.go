// Command packer-plugin-imgforge gives Packer what imgforge makes: payloads for any
// builder, disks baked from any builder's, and images at Scaleway.
//
// It runs the program imgforge, and links none of it: Packer's SDK builds only with a
// library replaced by another, which imgforge's own module must not have, and the two
// are upgraded apart.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/plugin"
	"github.com/hashicorp/packer-plugin-sdk/version"

	"github.com/imgforge/imgforge/packer/datasource/payload"
	"github.com/imgforge/imgforge/packer/post-processor/bake"
	"github.com/imgforge/imgforge/packer/post-processor/scalewayimport"
)

// release is the plugin's own version, which is in the name of its file too.
const release = "0.1.0"

func main() {
	set := plugin.NewSet()
	set.SetVersion(version.NewPluginVersion(release, "", ""))
	set.RegisterDatasource("payload", new(payload.Datasource))
	set.RegisterPostProcessor("bake", new(bake.PostProcessor))
	set.RegisterPostProcessor("scaleway-import", new(scalewayimport.PostProcessor))
	if err := set.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
