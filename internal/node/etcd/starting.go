package etcd

import "github.com/imgforge/imgforge/internal/bootcode"

// comingUp decides for a node whose etcd was started on its own data. One that ends
// again and again needs a person: what it says may be a setting or a full disk, and
// its data may be the better one where it says that others have something else.
func (o Observation) comingUp() Decision {
	if o.Ended != "" {
		return refuse(bootcode.EtcdEnds, "%s", o.Ended)
	}
	if o.Strange != "" { // such as the cluster that was restored in this one's place
		return refuse(bootcode.EtcdTwoClusters, "etcd of %s belongs to another cluster than %s, of which this node's data is", o.Strange, o.Founding)
	}
	return wait(bootcode.EtcdStarting, "its data is in place")
}

// starting decides for a node whose manifest is in place and whose etcd has not
// written anything yet.
func (o Observation) starting() Decision {
	own, listed := o.mine()
	switch {
	case o.Past == Never || o.Past == Member:
		return Decision{Action: Stop, Why: "its data is gone"}
	case !o.View.Quorum:
		return wait(bootcode.EtcdStarting, "its etcd has not written anything yet")
	case o.Past == Agreed && listed && !own.Started:
		return wait(bootcode.EtcdStarting, "its etcd has not written anything yet")
	case o.Past == Joining && listed && own.ID == o.Added && own.Learner && !own.Started:
		// etcd starts only when it is told exactly the members there are.
		if cluster := o.initialCluster(); cluster != o.Placed {
			return Decision{Action: StartAsLearner, Member: own.ID, Cluster: cluster}
		}
		return wait(bootcode.EtcdStarting, "its etcd has not written anything yet")
	}
	return Decision{Action: Stop, Why: "it is no longer the member that it was to start as"}
}
