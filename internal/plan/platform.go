package plan

import (
	"cmp"
	"fmt"

	"github.com/imgforge/imgforge/internal/report"
	"github.com/imgforge/imgforge/internal/spec"
)

// OS is the node's operating system.
type OS struct {
	Family          string `json:"family"`
	Channel         string `json:"channel"`
	Arch            string `json:"arch"`
	Format          string `json:"format"`          // ignition | cloud-init
	Variant         string `json:"variant"`         // butane variant: flatcar | fcos
	VariantVersion  string `json:"variantVersion"`  // flatcar 1.1.0 -> spec 3.4.0, 1.0.0 -> 3.3.0, fcos 1.6.0 -> 3.5.0
	IgnitionVersion string `json:"ignitionVersion"` // 3.3.0 | 3.4.0 | 3.5.0
	NetworkManager  bool   `json:"networkManager"`  // fcos; else systemd-networkd
	Updater         string `json:"updater"`         // locksmith | zincati | unattended-upgrades
}

// Platform is the provider and how it hands over user-data.
type Platform struct {
	Provider string `json:"provider"`
	Zone     string `json:"zone,omitempty"`
	Budget   Budget `json:"budget"`
	// Drive is the drive the OS reads there: config-2 | cidata | "" (none).
	Drive string `json:"drive,omitempty"`
	// Delivery says in words how user-data reaches a node when no drive is read.
	Delivery      string `json:"delivery"`
	PrivateDomain string `json:"privateDomain,omitempty"`
	// Metadata lists the addresses that pods must not reach.
	Metadata []string `json:"metadata"`
	// Scaleway is what servers there are made of; nil elsewhere.
	Scaleway *Scaleway `json:"scaleway,omitempty"`
}

// Scaleway is what `imgforge up scaleway` makes servers of, besides their type. Sizes are in GB.
type Scaleway struct {
	Egress   string `json:"egress"` // publicIP | gateway | none
	Image    string `json:"image,omitempty"`
	RootSize int    `json:"rootSize"`
	// PublicIPKeyRef names the secret with which proxies move their role's address.
	PublicIPKeyRef string `json:"publicIPKeyRef,omitempty"`
	// KeepUserData leaves user-data at the provider.
	KeepUserData bool `json:"keepUserData,omitempty"`
	DataSize     int  `json:"dataSize"`
}

// Budget is a provider's limit on user-data.
type Budget struct {
	Bytes  int    `json:"bytes"`  // 0: no practical limit
	Base64 bool   `json:"base64"` // counted after base64
	Source string `json:"source"` // where the number comes from
}

// Formats of user-data.
const (
	FormatIgnition  = "ignition"
	FormatCloudInit = "cloud-init"
)

// osOf is what follows from the family. Cloud-init is converted from Ignition, so
// debian and ubuntu have a variant too. Ignition 3.4.0 is the newest that every
// supported Flatcar reads, 3.5.0 the newest that coreos-installer accepts. The
// flatcar variant adds nothing of CoreOS to a configuration, which is why our own
// base and the cloud-init families use it.
func osOf(o spec.OS, arch string) OS {
	out := OS{
		Family: o.Family, Channel: o.Channel, Arch: arch, Format: FormatIgnition,
		Variant: "flatcar", VariantVersion: "1.1.0", IgnitionVersion: "3.4.0", Updater: "unattended-upgrades",
	}
	switch o.Family {
	case "flatcar":
		out.Updater = "locksmith"
	case "fcos":
		out.Variant, out.VariantVersion, out.IgnitionVersion = "fcos", "1.6.0", "3.5.0"
		out.NetworkManager, out.Updater = true, "zincati"
	case "imgforge": // Debian's own Ignition, which its initrd has
		out.VariantVersion, out.IgnitionVersion = "1.0.0", "3.3.0"
	case "debian", "ubuntu":
		out.Format = FormatCloudInit
	}
	return out
}

// provider is a row of the provider table.
type provider struct {
	budget   Budget
	metadata []string
	// drives by format; a format that is missing reads no drive.
	drives map[string]string
	// delivery by format, for those that read no drive.
	delivery map[string]string
}

const userData = "user-data of the server, read from the metadata service"

// providerOf is the row of a provider. Budgets are in bytes.
func providerOf(name, family string) (provider, bool) {
	service := map[string]string{FormatIgnition: userData, FormatCloudInit: userData}
	linkLocal := []string{"169.254.169.254"}
	none := Budget{Source: "no practical limit: the file is read from a disk or from the hypervisor"}
	switch name {
	case "scaleway":
		return provider{
			budget:   Budget{Bytes: 127 << 10, Source: "about 127 KiB per user-data key; Scaleway documents none, so platform.userDataBudget overrides it"},
			metadata: []string{"169.254.42.42", "fd00:42::42"}, delivery: service,
		}, true
	case "exoscale":
		return provider{budget: Budget{Bytes: 32768, Base64: true, Source: "32768 bytes after base64: exoscale/cli#168"}, metadata: linkLocal, delivery: service}, true
	case "hetzner":
		return provider{budget: Budget{Bytes: 32768, Source: "32768 characters: Hetzner Cloud API, user_data"}, metadata: linkLocal, delivery: service}, true
	case "ec2":
		return provider{budget: Budget{Bytes: 16384, Source: "16384 bytes before base64: Amazon EC2 user guide, user data"}, metadata: append(linkLocal, "fd00:ec2::254"), delivery: service}, true
	case "openstack":
		return provider{
			budget:   Budget{Bytes: 65535, Base64: true, Source: "65535 bytes after base64: OpenStack Nova, user data"},
			metadata: append(linkLocal, "fe80::a9fe:a9fe"),
			drives:   map[string]string{FormatIgnition: "config-2", FormatCloudInit: "config-2"},
		}, true
	case "proxmox": // Ignition's platform proxmoxve reads cidata
		return provider{budget: none, drives: map[string]string{FormatIgnition: "cidata", FormatCloudInit: "cidata"}}, true
	case "libvirt":
		return provider{
			budget: none, drives: map[string]string{FormatCloudInit: "cidata"},
			delivery: map[string]string{FormatIgnition: "fw_cfg: qemu -fw_cfg name=opt/com.coreos/config,file=NODE.ign"},
		}, true
	case "metal":
		return provider{
			budget: none, drives: map[string]string{FormatCloudInit: "cidata"},
			delivery: map[string]string{FormatIgnition: installer(family)},
		}, true
	}
	return provider{}, false
}

// installer is how a family puts Ignition on a machine that reads no drive.
func installer(family string) string {
	url := "ignition.config.url=URL on the kernel command line"
	switch family {
	case "fcos":
		return "coreos-installer iso customize --dest-ignition NODE.ign, or " + url
	case "flatcar":
		return "flatcar-install -i NODE.ign, or " + url
	}
	return url
}

// platformOf decides how user-data reaches a node and how large it may be.
func platformOf(c *spec.Cluster, o OS, r *report.Report) Platform {
	row, known := providerOf(c.Platform.Provider, o.Family)
	if !known {
		r.Add(report.Problem{
			Path: "platform.provider", Message: fmt.Sprintf("unknown provider %q", c.Platform.Provider),
			Fix: "write scaleway, exoscale, hetzner, ec2, openstack, proxmox, libvirt or metal",
		})
	}
	p := Platform{
		Provider: c.Platform.Provider, Zone: c.Platform.Zone, Budget: row.budget, Drive: row.drives[o.Format],
		PrivateDomain: c.Platform.PrivateDomain, Metadata: append([]string{}, row.metadata...),
	}
	p.Delivery = row.delivery[o.Format]
	if p.Drive != "" {
		p.Delivery = fmt.Sprintf("an ISO 9660 drive with the label %s", p.Drive)
	}
	if p.Provider == "scaleway" {
		// Private Networks resolve <server>.<private network>.internal.
		p.PrivateDomain = cmp.Or(p.PrivateDomain, c.Name+".internal")
		own := Scaleway(c.Platform.Scaleway)
		p.Scaleway = &own
	}
	if c.Platform.UserDataBudget > 0 {
		p.Budget.Bytes, p.Budget.Source = c.Platform.UserDataBudget, "platform.userDataBudget"
	}
	return p
}
