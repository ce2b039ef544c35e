// Package etcd makes a master a member of the cluster's one etcd and keeps it one:
// it asks the other masters, decides by a pure function, and acts. It never takes
// silence for consent, and never deletes data.
package etcd

import "github.com/imgforge/imgforge/internal/bootcode"

// Slot is a master of the plan, whether its machine exists or not.
type Slot struct {
	Name string
	// URL is where the slot's etcd speaks to its peers: https://address:2380. The
	// plan gives no two slots the same, so it tells whose a member is.
	URL string
	// Founder slots are the members of the first etcd. The others join later, or have
	// no machine yet: what they do not answer is not missed.
	Founder bool
	// Awaited slots have a machine. A restore waits for all of them: their silence may
	// hide a majority of the cluster that is thought lost.
	Awaited bool
}

// Held is what a data folder holds.
type Held uint8

const (
	Nothing Held = iota // no write-ahead log, so no vote was ever given from here
	Data
	Damaged // a log that does not say whose it is
)

// Disk is a node's own data folder.
type Disk struct {
	Held            Held
	Member, Cluster ID // with Data
}

// Past is what a node remembers outside of its data folder.
type Past uint8

const (
	// Never: this machine never held data and promised nothing.
	Never Past = iota
	// Agreed: it saw every founder without data and promised to found; its etcd has
	// not run.
	Agreed
	// Joining: a quorum added a learner for it; that learner's etcd has not run.
	Joining
	// Member: its etcd has run. Without data it must never again speak under the
	// name it had, for it may have forgotten a vote or an entry that others count on.
	Member
	// GivenUp: its data is of a cluster that etcd.abandon gives up, and is to be moved aside.
	GivenUp
)

// State is what another master answers about itself.
type State uint8

const (
	Silent   State = iota // no answer: never a yes
	Blank                 // no data, never a member
	Willing               // no data, never a member, and promised to found
	Lost                  // no data, but once a member or about to become one
	Holding               // has data; its etcd does not answer
	Serving               // its etcd answers
	Broken                // has data that cannot be read
	Fetching              // no data; it is to restore a snapshot, and has none yet
)

// Peer is another master and its freshest answer.
type Peer struct {
	Slot
	State State
	// Cluster is whose data it has, and Founding what its payload would found.
	Cluster, Founding ID
	// Candidate means that it has the snapshot that Founding would be restored from.
	Candidate bool
	restored  string // hash of the snapshot that Cluster or Founding comes of
}

func (p Peer) holds() bool { return p.State == Holding || p.State == Serving || p.State == Broken }

// Entry is one line of etcd's own member list.
type Entry struct {
	ID      ID
	Name    string // "" for a learner that has not started
	URLs    []string
	Learner bool
	Started bool // it has published where clients find it
}

// View is a member list.
type View struct {
	Known bool
	// Quorum means that a majority confirmed the list just now; otherwise it is what
	// one member remembers, good for messages only.
	Quorum  bool
	Entries []Entry
	// Minor is the lowest etcd 3.x that serves; 0 when that is not known.
	Minor int
}

// Observation is everything a decision rests on. Answers and list must be older
// than what is said of the node's own disk: who reads the disk first can take an
// etcd that has just started for one that lost its data.
type Observation struct {
	Self     Slot
	Founding ID   // the cluster that this payload founds, and every member belongs to
	Founded  bool // etcd.founded: the payload must never found
	Restore  bool // etcd.restoreFrom is set
	Restored bool // Founding is the cluster that the snapshot at hand makes
	Abandon  ID   // etcd.abandon: data of this cluster may be moved aside
	Voters   int  // in the member list on this disk; 0 when it was not read
	Stuck    bool // nothing has moved for a while
	Disk     Disk
	Past     Past
	Added    ID     // with Joining: the learner that was added
	Placed   string // initial cluster of the manifest that the kubelet has; "" for none
	Serving  bool   // this node's etcd answers
	Damage   string // with Damaged: where, if that is known
	Ended    string // how an etcd ended that was started on own data and does not come up
	Others   []Peer // every other master slot
	View     View
	// Strange names a master whose etcd belongs to another cluster.
	Strange string
}

// Action is what to do next.
type Action uint8

const (
	Wait           Action = iota // others must act or come back; Code and Why say who
	Refuse                       // a person must act; Code and Why say what
	Settled                      // a voter, and its etcd answers
	Start                        // own data: let etcd run
	Agree                        // promise, durably, to found
	Found                        // let etcd run as a founder
	RemoveStale                  // remove Member, which was this node before it lost its data
	SetAside                     // move data of no use out of the way, without deleting it
	AddLearner                   // ask the quorum for a new member
	StartAsLearner               // let etcd run as the added learner
	Promote                      // ask for a vote for Member, this node's own learner
	Stop                         // take the manifest away: what it would start must not run
	Fetch                        // get the snapshot to restore, or the one that others take
	GiveUp                       // note that this node's data is given up, and stop its etcd
)

// Decision is an action with what it needs.
type Decision struct {
	Action  Action
	Member  ID
	Cluster string // --initial-cluster, with Start, Found and StartAsLearner
	Code    int    // with Wait and Refuse
	Why     string
}

// Decide says what a master does next. It is a pure function: no clock, no disk,
// no network, and no memory beyond the observation.
func Decide(o Observation) Decision {
	switch o.Disk.Held {
	case Data:
		return o.withData()
	case Damaged:
		return o.withDamage()
	}
	if o.Serving {
		return refuse(bootcode.EtcdVanished, "etcd of %s still answers", o.Self.Name)
	}
	if o.Strange != "" {
		return refuse(bootcode.EtcdTwoClusters, "etcd of %s belongs to another cluster than %s", o.Strange, o.Founding)
	}
	if o.Placed != "" {
		return o.starting()
	}
	if o.View.Quorum {
		return o.join()
	}
	return o.alone()
}

// withData decides for a node that has its own data. Such a node starts without
// asking anybody: after a power cut all of them wait for each other otherwise.
func (o Observation) withData() Decision {
	if o.Disk.Cluster != o.Founding {
		return refuse(bootcode.EtcdForeignData, "the data belongs to cluster %s, this payload to %s", o.Disk.Cluster, o.Founding)
	}
	if o.Past == GivenUp {
		return o.givenUp()
	}
	start := Decision{Action: Start, Cluster: o.Self.Name + "=" + o.Self.URL}
	if !o.View.Quorum {
		switch {
		case o.Placed == "" && o.named():
			return o.parted(start)
		case o.Placed == "":
			return start
		case o.Serving:
			return o.noQuorum()
		}
		if o.Ended == "" && o.minority() > 0 {
			return o.noQuorum()
		}
		return o.comingUp()
	}
	own, listed := o.byID(o.Disk.Member)
	switch {
	case !listed:
		return o.removed()
	case !own.at(o.Self.URL):
		return refuse(bootcode.EtcdForeignData, "the data is that of member %s, which is %s at %v", own.ID, own.Name, own.URLs)
	case o.Placed == "":
		return start
	case !o.Serving:
		return o.comingUp()
	case own.Learner && own.Started:
		return Decision{Action: Promote, Member: own.ID}
	case own.Learner:
		return wait(bootcode.EtcdStarting, "the learner %s has not published itself yet", own.ID)
	}
	return Decision{Action: Settled}
}

// removed decides for a node whose data belongs to a member that a quorum has
// removed: such data can never be used again. Somebody else in this node's place
// means two machines with one slot, and taking the place back would never end.
func (o Observation) removed() Decision {
	if other, taken := o.mine(); taken {
		return refuse(bootcode.EtcdSlotTaken, "the data is that of member %s, which was removed; member %s stands in its place", o.Disk.Member, other.ID)
	}
	if o.Placed != "" {
		return Decision{Action: Stop, Why: "its member " + o.Disk.Member.String() + " was removed"}
	}
	return Decision{Action: SetAside}
}

// withDamage decides for a node whose data cannot be read. It is worth nothing to a
// cluster that has a quorum, and may be worth everything to one that has not.
func (o Observation) withDamage() Decision {
	switch own, listed := o.mine(); {
	case o.Serving:
		return refuse(bootcode.EtcdVanished, "etcd of %s still answers, but its data cannot be read", o.Self.Name)
	case !o.View.Quorum:
		return refuse(bootcode.EtcdDamaged, "%sno quorum of the other masters answers, so the data is left as it is%s", line(o.Damage), o.asked())
	case o.Placed != "":
		return Decision{Action: Stop, Why: line(o.Damage) + "its data cannot be read"}
	case listed:
		return Decision{Action: RemoveStale, Member: own.ID, Why: o.Damage}
	}
	return Decision{Action: SetAside}
}

// join decides for a node without data while a quorum answers.
func (o Observation) join() Decision {
	own, listed := o.mine()
	if listed {
		switch {
		case o.Past == Joining && own.ID == o.Added && own.Learner && !own.Started:
			return Decision{Action: StartAsLearner, Member: own.ID, Cluster: o.initialCluster()}
		case o.mayFound() && !own.Started && !own.Learner:
			// The others founded as agreed, and this one has yet to begin.
			return Decision{Action: Found, Cluster: o.foundingCluster()}
		}
		return Decision{Action: RemoveStale, Member: own.ID}
	}
	// etcd allows one learner, and joins one by one keep the quorum plain.
	for _, e := range o.View.Entries {
		if e.Learner {
			return wait(bootcode.EtcdTurn, "%s joins first", o.nameOf(e))
		}
	}
	// Until 3.6 etcd adds nobody while any voter is not connected.
	if missing := o.missingVoters(); o.View.Minor <= 6 && len(missing) > 0 {
		return wait(bootcode.EtcdVoterMissing, "waiting for %s", list(missing))
	}
	return Decision{Action: AddLearner}
}
