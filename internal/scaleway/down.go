package scaleway

// Down lists, in order, what removes everything that was seen with the cluster's tag and
// nothing else.
func Down(o *Observed) []Change {
	d := &downward{seen: o}
	loose := d.servers()
	for _, v := range o.Volumes {
		d.add(DeleteVolume, v.Name, v.ID)
	}
	for _, s := range loose {
		d.add(DeleteVolume, rootName(s.Node), s.Root)
	}
	d.published()
	for _, ip := range o.IPs {
		if ip.Ours {
			d.add(DeleteIP, ip.Address.String(), ip.ID)
		}
	}
	for _, g := range o.Groups {
		d.add(DeleteGroup, "of role "+g.Role, g.ID)
	}
	for _, p := range o.Placements {
		d.add(DeletePlacement, "of the masters", p.ID)
	}
	for _, a := range o.Addresses {
		d.add(ReleaseAddress, a.Address.String(), a.ID)
	}
	for _, n := range o.Networks {
		d.add(DeleteNetwork, n.Name, n.ID)
	}
	return d.list
}

type downward struct {
	seen *Observed
	list []Change
}

func (d *downward) add(k Kind, name, id string) {
	d.list = append(d.list, Change{Kind: k, Name: name, ID: id})
}

// servers tags the root volumes that are not tagged yet, because nothing else tells
// whose they are once their server is gone, and then ends the servers.
func (d *downward) servers() (loose []Server) {
	for _, s := range d.seen.Servers {
		if s.Root != "" && !s.RootTagged {
			loose = append(loose, s)
			d.add(TagRoot, s.Name, s.ID)
		}
		if s.State == stateStarting {
			d.add(AwaitStable, s.Name, s.ID)
		}
	}
	for _, s := range d.seen.Servers {
		if s.State == stateRunning || s.State == stateStarting || s.State == stateInPlace {
			d.add(PowerOff, s.Name, s.ID)
		}
	}
	for _, s := range d.seen.Servers {
		if s.State != stateStopped {
			d.add(AwaitStopped, s.Name, s.ID)
		}
	}
	for _, s := range d.seen.Servers {
		d.add(DeleteServer, s.Name, s.ID)
	}
	return loose
}

// published ends images and then the snapshots that they were made of. An image that a
// server without the cluster's tag was made from stays, as it does when images are published.
func (d *downward) published() {
	kept := map[string]bool{}
	for _, i := range d.seen.Images {
		if d.seen.Used[i.ID] {
			kept[i.Root] = true
			continue
		}
		d.add(DeleteImage, i.Name, i.ID)
	}
	for _, s := range d.seen.Snapshots {
		if !kept[s.ID] {
			d.add(DeleteSnapshot, s.Name, s.ID)
		}
	}
}

// Booted names images of the cluster that stay, because other servers were made from them.
func Booted(o *Observed) []string {
	var out []string
	for _, i := range o.Images {
		if o.Used[i.ID] {
			out = append(out, i.Name)
		}
	}
	return out
}
