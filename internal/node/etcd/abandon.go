package etcd

import "github.com/imgforge/imgforge/internal/bootcode"

// minority is how many masters have data when they are too few, and 0 when that is not
// known. An etcd that was started without a majority lists no members: then only the
// payload of a restore tells how many masters there are. They have all answered, and
// those with data had the time to come up.
func (o Observation) minority() (holding int) {
	if !o.Restore || !o.Stuck || o.View.Known {
		return 0
	}
	if o.Disk.Held == Data {
		holding++
	}
	for _, p := range o.Others {
		switch {
		case p.State == Silent && (p.Founder || p.Awaited), p.State == Serving:
			return 0
		case p.holds():
			holding++
		}
	}
	if holding > o.awaited()/2 {
		return 0
	}
	return holding
}

// awaited is how many masters there are, in the payload of a restore.
func (o Observation) awaited() int {
	n := 1
	for _, p := range o.Others {
		if p.Founder || p.Awaited {
			n++
		}
	}
	return n
}

// named tells whether etcd.abandon names the cluster that this node's data is of.
func (o Observation) named() bool {
	return o.Disk.Held == Data && abandoned(o.Disk, o.Restore, o.Abandon)
}

// abandoned tells whether a payload gives up the cluster of this data.
func abandoned(d Disk, restore bool, abandon ID) bool {
	return restore && abandon != 0 && abandon == d.Cluster
}

// parted decides for data that etcd.abandon names while no etcd runs on it: the guard
// leaves it so. A cluster that lives is not given up, whatever a payload says: this
// node's etcd begins as ever while those who have the data may be a majority, or one
// serves it. Only when all others have answered, and are too few, is it given up.
func (o Observation) parted(start Decision) Decision {
	holding, silent := 1, []string(nil)
	for _, p := range o.Others {
		switch {
		case p.State == Silent && (p.Founder || p.Awaited):
			silent = append(silent, p.Name)
		case p.State == Serving && p.Cluster == o.Founding:
			return start
		case p.State == Holding && p.Cluster == o.Founding:
			holding++
		}
	}
	voters := o.Voters
	if voters == 0 {
		voters = o.awaited()
	}
	switch {
	case holding > voters/2:
		return start
	case len(silent) > 0:
		return wait(bootcode.EtcdSilent, "%d of %d members of cluster %s have data, which is given up once %s answers and has none%s", holding, voters, o.Founding, list(silent), o.asked())
	}
	return o.giveUp()
}

func (o Observation) giveUp() Decision {
	return Decision{Action: GiveUp, Why: "data of cluster " + o.Disk.Cluster.String()}
}

// blocked decides when too few members have data for a majority, and a snapshot is to
// be restored. What they have may be newer than the snapshot, so a person says that it
// is given up, and of which cluster: what is said holds for no later one.
func (o Observation) blocked(holding, voters int) Decision {
	if o.named() {
		return o.giveUp()
	}
	return refuse(bootcode.EtcdRestoreBlocked, "%d of %d members of cluster %s have data: too few for a majority, and it may be newer than the snapshot%s", holding, voters, o.Founding, o.asked())
}

// elsewhere tells whether a member's place has promised to found another cluster.
func (o Observation) elsewhere(e Entry) bool {
	for _, p := range o.Others {
		if e.at(p.URL) {
			return p.Founding != o.Founding
		}
	}
	return false
}

// givenUp decides for a node whose data was given up for a restore: that is durable,
// so that nothing it said before can come back.
func (o Observation) givenUp() Decision {
	switch {
	case o.Placed != "":
		return o.giveUp()
	case o.Serving:
		return wait(bootcode.EtcdRestoring, "its etcd ends, whose data was given up")
	}
	return Decision{Action: SetAside}
}
