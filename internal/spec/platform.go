package spec

import (
	"regexp"
	"slices"
	"strings"
)

// platform checks what the provider and the OS can do for each other.
func (k *check) platform() {
	p, family := k.Platform.Provider, k.OS.Family
	k.zone(p, k.Platform.Zone)
	k.channel(family, k.OS.Channel)
	if p == "scaleway" && family == "fcos" {
		k.warn("os.family", "Fedora CoreOS has no official image for Scaleway", "write flatcar, or publish an image of your own with `imgforge publish scaleway`")
	}
	if k.src.has("platform.privateDomain") && p != "scaleway" && p != "" {
		k.warn("platform.privateDomain", "only Scaleway's private networks resolve node names by themselves", "write endpoints under roles.<role>.nodes, or remove it")
	}
	if k.src.has("platform.scaleway") && p != "scaleway" && p != "" {
		k.warn("platform.scaleway", "has no effect on "+p, "remove it")
	}
	k.movesIP()
	for _, r := range k.roles() {
		k.sealedImage(r.path+".image", r.Image)
		k.installs(r.path+".rootDisk", r.RootDisk)
		for i, n := range r.Nodes {
			k.installs(item(r.path+".nodes", i)+".rootDisk", n.RootDisk)
		}
	}
	if k.Delivery == "fetch" && k.Artifacts.URL == "" && !k.src.doubtful("artifacts.url") {
		k.err("delivery", "fetch needs a place to fetch from", "write artifacts.url, as in https://artifacts.example.org/"+k.Name+", or delivery: baked")
	}
	if strings.HasPrefix(k.Artifacts.URL, "http://") {
		k.warn("artifacts.url", "http shows everybody on the way what nodes fetch; hashes protect only its integrity", "write https")
	}
	if n := k.Network; k.Artifacts.URL != "" && n.Mesh == "none" && n.Gateway != "" && family != "debian" && family != "ubuntu" {
		k.warn("artifacts.url", "Ignition fetches before a node has its address of this file, by one that it asks DHCP for",
			"where no DHCP answers, give each machine its address on the kernel command line (ip=) for the first boot, or write delivery: baked and no artifacts.url")
	}
}

// movesIP checks that proxies which are to move their address can.
func (k *check) movesIP() {
	const path = "platform.scaleway.publicIPKeyRef"
	own := k.Platform.Scaleway
	if own.PublicIPKeyRef == "" || k.Platform.Provider != "scaleway" {
		return
	}
	if k.Roles.Proxy.PublicIP == "" && !k.src.doubtful("roles.proxy.publicIP") {
		k.err(path, "there is no address to move", "write roles.proxy.publicIP as well, or remove it")
	}
	if k.Platform.Zone == "" && !k.src.doubtful("platform.zone") {
		k.err(path, "an address moves within a zone, and none is named", "write platform.zone, as in fr-par-1")
	}
	if own.Egress == "none" {
		k.err(path, "without a way out no proxy reaches the API that moves the address", "write egress: publicIP or gateway")
	}
}

// sealedImage checks the ID of a role's own image. A label of the marketplace is never
// one: what stands there has no slots.
func (k *check) sealedImage(path, id string) {
	switch {
	case id == "":
	case k.Platform.Provider != "scaleway" && k.Platform.Provider != "":
		k.warn(path, "has no effect on "+k.Platform.Provider+", where imgforge makes no servers", "remove it")
	case !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id):
		k.err(path, quote(id)+" is not the ID of an image at Scaleway", "write the ID that `imgforge publish scaleway` printed; a label of the marketplace goes to platform.scaleway.image")
	}
}

// installs refuses disks to install on where nothing installs.
func (k *check) installs(path, disk string) {
	switch {
	case disk == "":
	case k.OS.Family == "debian" || k.OS.Family == "ubuntu":
		k.err(path, "no installer of "+k.OS.Family+" reads it: its cloud image is written to the disk as it is", "remove it, or write os.family: flatcar or fcos")
	case k.Platform.Provider != "metal" && k.Platform.Provider != "":
		k.warn(path, "has no effect on "+k.Platform.Provider+", where servers boot from an image", "remove it")
	}
}

func (k *check) zone(provider, zone string) {
	if zone == "" {
		return
	}
	if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`).MatchString(zone) {
		k.err("platform.zone", quote(zone)+" is not the name of a zone", "write it as the provider does, as in fr-par-1")
		return
	}
	if provider != "scaleway" || regexp.MustCompile(`^[a-z]{2}-[a-z]{3}-[1-9]$`).MatchString(zone) {
		return
	}
	fix := "write one such as fr-par-1"
	if regexp.MustCompile(`^[a-z]{2}-[a-z]{3}$`).MatchString(zone) {
		fix = "that is a region: write " + zone + "-1"
	}
	k.err("platform.zone", quote(zone)+" is not a zone of Scaleway", fix)
}

// channel checks releases that imgforge's node software runs on: nftables mode
// of kube-proxy needs Linux 5.13, which Debian 11 and Ubuntu 20.04 lack.
func (k *check) channel(family, channel string) {
	allowed := map[string][]string{
		"flatcar":  {"stable", "beta", "alpha", "lts"},
		"fcos":     {"stable", "testing", "next"},
		"imgforge": {"stable"},
		"debian":   {"12", "13"},
		"ubuntu":   {"22.04", "24.04", "26.04"},
	}[family]
	switch {
	case allowed == nil || channel == "" || slices.Contains(allowed, channel):
	case family == "flatcar" && regexp.MustCompile(`^(lts-20\d\d|\d{4}\.\d{1,2}\.\d{1,2})$`).MatchString(channel):
	case family == "fcos" && regexp.MustCompile(`^\d{2}\.\d{8}\.\d{1,2}\.\d{1,2}$`).MatchString(channel):
	default:
		fix := "write " + choice(allowed)
		if near, _ := nearest(channel, allowed); near != "" && len(allowed) > 1 {
			fix = "did you mean " + near + "? Allowed are " + list(allowed)
		}
		k.err("os.channel", quote(channel)+" is not a release of "+family, fix)
	}
}
