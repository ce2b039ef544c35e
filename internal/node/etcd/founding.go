package etcd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// Founding takes two rounds. In the first, a founder that sees every founder
// without data promises to found, on disk. In the second, a founder that has
// promised begins as soon as it sees that all have, or that one has begun, which
// had seen it. One round is not enough: the first to begin has data, and the others
// could not tell themselves from machines that were wiped after they voted.
//
// A machine that was wiped has lost its promise. It can promise again only while it
// sees no data anywhere; and whoever it may have voted for had data before it asked
// for the vote. So no machine votes twice under one name.

// mayFound tells whether this node's promise stands and its payload permits it.
// A founded cluster is founded again from a snapshot only.
func (o Observation) mayFound() bool {
	return o.Past == Agreed && o.Self.Founder && (!o.Founded || o.Restored)
}

// alone decides for a node without data that no quorum answers.
func (o Observation) alone() Decision {
	var holders, silent, lost, strangers, hesitant, others []string
	begun := false
	for _, p := range o.Others {
		switch {
		case p.holds():
			holders = append(holders, p.Name)
			begun = begun || p.Founder && p.Cluster == o.Founding
		case p.State == Silent && (p.Founder || o.Restore && p.Awaited):
			silent = append(silent, p.Name)
		case p.State == Fetching:
			hesitant = append(hesitant, p.Name)
		case p.State != Silent && o.Restored && p.Candidate && p.Founding != o.Founding:
			others = append(others, p.Name)
		case p.State == Lost:
			lost = append(lost, p.Name)
		case p.State != Silent && p.Founding != o.Founding:
			strangers = append(strangers, p.Name)
		case p.Founder && p.State != Willing:
			hesitant = append(hesitant, p.Name)
		}
	}
	if o.Past == Joining || o.Past == Member {
		lost = append(lost, o.Self.Name)
	}
	switch {
	case len(holders) > 0 && begun && o.mayFound():
		return Decision{Action: Found, Cluster: o.foundingCluster()}
	case len(holders) > 0:
		return o.noQuorum()
	case len(silent) > 0:
		return wait(bootcode.EtcdSilent, "no answer from %s%s", list(silent), o.asked())
	case o.Restore && !o.Restored || len(others) > 0 && o.Past == Never:
		return Decision{Action: Fetch}
	case len(others) > 0:
		return wait(bootcode.EtcdRestoring, "%s found another snapshot, and will take this node's", list(others))
	case len(strangers) > 0:
		return refuse(bootcode.EtcdPayloads, "%s would found another cluster", list(strangers))
	case o.Founded && !o.Restored || len(lost) > 0:
		return o.nothingLeft(lost)
	case !o.Self.Founder:
		return wait(bootcode.EtcdFounders, "%s is no founder, it joins when they have begun", o.Self.Name)
	case o.Past == Never:
		return Decision{Action: Agree}
	case len(hesitant) > 0:
		return wait(bootcode.EtcdFounders, "waiting for the promise of %s", list(hesitant))
	}
	return Decision{Action: Found, Cluster: o.foundingCluster()}
}

// nothingLeft decides when every master answered, none has data, and it is known or
// said that there was some. Founding would put an empty cluster in its place.
func (o Observation) nothingLeft(lost []string) Decision {
	if o.Founded && len(lost) == 0 {
		return refuse(bootcode.EtcdDataLost, "etcd.founded is true, and no master has data%s", o.asked())
	}
	return refuse(bootcode.EtcdDataLost, "%s once had data or was about to, and no master has any%s", list(lost), o.asked())
}

// noQuorum says why there is none: members that may come back, or too few that
// still have data.
func (o Observation) noQuorum() Decision {
	voters, holding, unheard := 0, 0, 0
	for _, e := range o.View.Entries {
		if e.Learner {
			continue
		}
		voters++
		switch s := o.stateAt(e); {
		case s == Holding || s == Serving || s == Willing && !o.elsewhere(e):
			holding++
		case s == Silent:
			unheard++
		}
	}
	if voters > 0 && unheard == 0 && holding < voters/2+1 {
		if o.Restore {
			return o.blocked(holding, voters)
		}
		return refuse(bootcode.EtcdQuorumGone, "%d of %d members have data, %d are needed%s", holding, voters, voters/2+1, o.asked())
	}
	if n := o.minority(); n > 0 {
		return o.blocked(n, o.awaited())
	}
	return wait(bootcode.EtcdNoQuorum, "there is data, but no majority of the members confirms anything%s", o.asked())
}

// stateAt is the state of whoever is at a member's address.
func (o Observation) stateAt(e Entry) State {
	if e.at(o.Self.URL) {
		switch {
		case o.Disk.Held == Data:
			return Holding
		case o.mayFound():
			return Willing
		}
		return Blank
	}
	for _, p := range o.Others {
		if e.at(p.URL) {
			return p.State
		}
	}
	return Silent
}

// missingVoters names the voters other than this node's whose etcd does not answer.
func (o Observation) missingVoters() (names []string) {
	for _, e := range o.View.Entries {
		if !e.Learner && o.stateAt(e) != Serving {
			names = append(names, o.nameOf(e))
		}
	}
	return names
}

// mine is the member in this node's place, by address or by name.
func (o Observation) mine() (Entry, bool) {
	for _, e := range o.View.Entries {
		if e.at(o.Self.URL) || e.Name == o.Self.Name {
			return e, true
		}
	}
	return Entry{}, false
}

func (o Observation) byID(id ID) (Entry, bool) {
	for _, e := range o.View.Entries {
		if e.ID == id {
			return e, true
		}
	}
	return Entry{}, false
}

func (e Entry) at(url string) bool { return slices.Contains(e.URLs, url) }

// nameOf is the slot at a member's address; members that never started have no name.
func (o Observation) nameOf(e Entry) string {
	for _, p := range o.Others {
		if e.at(p.URL) {
			return p.Name
		}
	}
	if e.Name != "" {
		return e.Name
	}
	return e.ID.String()
}

// initialCluster is the member list as etcd takes it: exactly the members there are.
func (o Observation) initialCluster() string {
	var parts []string
	for _, e := range o.View.Entries {
		name := o.nameOf(e)
		if e.at(o.Self.URL) {
			name = o.Self.Name
		}
		for _, url := range e.URLs {
			parts = append(parts, name+"="+url)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// foundingCluster is the same text on every founder.
func (o Observation) foundingCluster() string {
	parts := []string{o.Self.Name + "=" + o.Self.URL}
	for _, p := range o.Others {
		if p.Founder {
			parts = append(parts, p.Name+"="+p.URL)
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// asked is what every other master said, for messages.
func (o Observation) asked() string {
	var b strings.Builder
	for _, p := range o.Others {
		if p.State != Silent || p.Founder {
			fmt.Fprintf(&b, "\n%s %s", p.Name, p.State)
		}
	}
	return b.String()
}

// String is a sentence's end: "master-2 has no data and never was a member".
func (s State) String() string {
	switch s {
	case Silent:
		return "does not answer"
	case Blank:
		return "has no data and never was a member"
	case Willing:
		return "has no data and is ready to found"
	case Lost:
		return "has no data, but was a member or about to become one"
	case Holding:
		return "has data, but its etcd does not answer"
	case Serving:
		return "has data and its etcd answers"
	case Broken:
		return "has data that cannot be read"
	case Fetching:
		return "has no data and waits for the snapshot to restore"
	}
	return "answers something unknown"
}

// line is text with the end of a line, or nothing.
func line(text string) string {
	if text == "" {
		return ""
	}
	return text + "\n"
}

func list(names []string) string { return strings.Join(names, ", ") }

func wait(code int, format string, args ...any) Decision {
	return Decision{Action: Wait, Code: code, Why: fmt.Sprintf(format, args...)}
}

func refuse(code int, format string, args ...any) Decision {
	return Decision{Action: Refuse, Code: code, Why: fmt.Sprintf(format, args...)}
}
