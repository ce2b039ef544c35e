package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// restoredFromBucket is restored, when no master has a snapshot any more: what the
// cluster had put into a bucket by its schedule and by hand is all that is left.
func restoredFromBucket(left string, lost ...string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		third, err := b.Named(left)
		if err != nil {
			return "", err
		}
		byItself, err := b.bucketHas(ctx, keptSnapshot{}, "the schedule's own snapshot")
		if err != nil {
			return "", err
		}
		var s keptSnapshot
		evidence, err := b.restores(ctx, restoring{third: third, lost: lost, from: b.bucket.url(latestSnapshot), before: func() (err error) {
			if s, err = b.bucket.newest(); err != nil {
				return err
			}
			if s.revision <= byItself.revision {
				return fmt.Errorf("the bucket's newest is still %s", s.name)
			}
			return os.RemoveAll(filepath.Join(third.root, snapshotFolder))
		}})
		if err != nil {
			return evidence, err
		}
		by, err := b.tookFromBucket(s.name)
		if err != nil {
			return evidence, err
		}
		evidence += fmt.Sprintf("; no master had a snapshot, %s took %s from the S3 server over https", by, s.name)
		after, err := b.bucketHas(ctx, s, "a snapshot of the restored cluster")
		return evidence + fmt.Sprintf("; before that the schedule had put %s there, and after it %s", byItself.name, after.name), err
	}
}

// bucketHas waits until a snapshot is in the bucket that is newer than another one.
func (b *bout) bucketHas(ctx context.Context, than keptSnapshot, what string) (s keptSnapshot, err error) {
	_, err = b.Wait(ctx, what+" is in the bucket", boundInBucket, func(context.Context) error {
		if s, err = b.bucket.newest(); err == nil && s.revision <= than.revision {
			err = fmt.Errorf("its newest is %s", s.name)
		}
		return err
	})
	return s, err
}

// boundInBucket is how long a master that leads may take to take a snapshot and upload it.
const boundInBucket = 3 * time.Minute

// tookFromBucket names who was given a snapshot. One master is enough: others may take
// it from that one.
func (b *bout) tookFromBucket(name string) (string, error) {
	addresses, err := b.bucket.took(name)
	if err != nil {
		return "", err
	}
	var names []string
	for _, n := range b.mastersOf() {
		if slices.Contains(addresses, b.below(n.Name).Addr().String()) {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return "", errors.New("no master took a snapshot from the bucket")
	}
	return strings.Join(names, ", "), nil
}
