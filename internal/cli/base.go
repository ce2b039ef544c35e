package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/imgforge/imgforge/internal/forge"
)

func newBase(app *forge.App) *cobra.Command {
	var o forge.BaseOptions
	cmd := &cobra.Command{
		Use:   "base -o FILE",
		Short: "Make the base image of os.family imgforge from Debian packages",
		Long: `Base makes a disk from the Debian packages that imgforge.lock pins, and from nothing else: boot loaders for BIOS and
UEFI, Ignition in the initrd, a read-only /usr, and a root file system that is empty until the first boot. There is
no SSH server and no password. The same lock gives the same bytes.

Ignition takes its config from a drive labelled config-2, which is what baking adds; without one from --platform,
as long as that needs no network: qemu, vmware, virtualbox, openstack (by its drive) and metal (by ignition.config.url
that leads to no network). At every other provider bake the config.

It needs mmdebstrap and mke2fs (imgforge version --tools looks for them). Root is not needed where user namespaces are
allowed; as root it runs in a chroot.`,
		Example: "  imgforge lock && imgforge base -o base.img",
		Args:    exact(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Output == "" {
				return usagef("name the file to write, as in -o base.img")
			}
			o.Source.In = cmd.InOrStdin()
			o.Progress, o.Terminal = progress(cmd.ErrOrStderr())
			line, err := app.Base(cmd.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		},
	}
	lockFlags(cmd, &o.LockOptions)
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "`FILE` to write")
	cmd.Flags().StringVar(&o.Format, "format", "raw", "raw, qcow2 or raw.zst")
	cmd.Flags().StringVar(&o.Arch, "arch", "amd64", "architecture; amd64 alone for now")
	cmd.Flags().StringVar(&o.Platform, "platform", "qemu", "where Ignition looks for a config when no drive has one")
	cmd.Flags().StringArrayVar(&o.Arguments, "kernel-argument", nil, "`ARGUMENT` for the kernel at every boot; can be given several times")
	cmd.Flags().IntVar(&o.GiB, "size", 0, "of the disk in `GIB`; what is empty takes no room (default 4)")
	return cmd
}
