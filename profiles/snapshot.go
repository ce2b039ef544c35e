package profiles

import (
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
	"github.com/imgforge/imgforge/internal/plan"
)

// sharedSnapshots is what masters know of snapshots: nothing but who can open them,
// unless the cluster file says more than the helper takes for granted.
func sharedSnapshots(s *shared, e *artifact.ClusterEtcd) {
	if e.Recipients = nil; s.plan.Etcd.Snapshot.Enabled {
		e.Recipients = s.secrets.Recipients()
	}
	if c := clusterSnapshot(s.plan.Etcd.Snapshot); c != artifact.DefaultSnapshot() {
		e.Snapshot = &c
	}
	if e.RestoreFrom == "" {
		return
	}
	e.Abandon = s.plan.Etcd.Abandon
	for _, n := range s.plan.NodesOf(plan.Master) {
		if !n.Reserved {
			e.Masters = append(e.Masters, n.Name)
		}
	}
}

func clusterSnapshot(p plan.Snapshot) artifact.ClusterSnapshot {
	c := artifact.ClusterSnapshot{Off: !p.Enabled, Every: p.Every, Last: p.Last, Daily: p.Daily, Weekly: p.Weekly}
	if b := p.S3; b != nil {
		c.S3 = &artifact.S3{Endpoint: b.Endpoint, Region: b.Region, Bucket: b.Bucket, Prefix: b.Prefix, CA: b.CA}
	}
	return c
}

// snapshotKeys places what opens the bucket.
func snapshotKeys(s *shared) error {
	b := s.plan.Etcd.Snapshot.S3
	if b == nil || !s.isMaster() {
		return nil
	}
	access, err := s.secrets.Secret(b.AccessKey)
	if err != nil {
		return err
	}
	secret, err := s.secrets.Secret(b.SecretKey)
	if err != nil {
		return err
	}
	text, err := artifact.EncodeS3Keys(artifact.S3Keys{AccessKey: strings.TrimSpace(string(access)), SecretKey: strings.TrimSpace(string(secret))})
	if err != nil {
		return err
	}
	s.file(artifact.File{Path: artifact.S3KeysPath, Mode: 0o600, Contents: text, Secret: true})
	return nil
}

// beyondProxy tells the helper of the HTTP proxy where it has something to reach
// behind it: a bucket, or a snapshot to restore. All else that it asks is in the cluster.
func (s *shared) beyondProxy() []payload.Dropin {
	if !s.isMaster() || s.plan.Etcd.Snapshot.S3 == nil && s.plan.Etcd.RestoreFrom == "" {
		return nil
	}
	return proxyDropin(s.plan.Settings)
}
