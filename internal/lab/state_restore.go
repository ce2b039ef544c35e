package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

// restoreRows bring a cluster back from a snapshot.
func restoreRows(p *plan.Plan) []Fault {
	masters := notReserved(p, plan.Master)
	if len(masters) != 3 {
		return nil
	}
	left, lost := masters[0].Name, []string{masters[1].Name, masters[2].Name}
	names := fmt.Sprintf("%s and %s lose their disks at once; ", lost[0], lost[1])
	return []Fault{
		{Class: classRestored, Name: names + "the snapshot on " + left + " is restored", Short: true, Fresh: true, Do: restored(left, lost...)},
		{Class: classRestored, Name: names + "the newest snapshot in a bucket is restored", Fresh: true, Bucket: true, Do: restoredFromBucket(left, lost...)},
	}
}

const classRestored = classLost + ", restored by payload"

// Where masters keep snapshots, and what stands for the newest of a folder.
const (
	snapshotFolder = "var/lib/imgforge/snapshots"
	latestSnapshot = "latest.db.age"
)

// restored loses two of three disks for good, and boots payloads that name a snapshot
// which the third has.
func restored(left string, lost ...string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		third, err := b.Named(left)
		if err != nil {
			return "", err
		}
		return b.restores(ctx, restoring{third: third, lost: lost, from: "/" + snapshotFolder + "/" + latestSnapshot})
	}
}

// restoring is a restore: of what, and by which masters.
type restoring struct {
	third *Node    // still has data
	lost  []string // of these the disks are gone
	from  string   // etcd.restoreFrom
	// before is called once before any master boots to restore, while all are off; nil: nothing.
	before func() error
}

// worthKeeping is how many writes a snapshot is to have at least.
const worthKeeping = 60

// restores loses disks for good, and boots payloads that name a snapshot: the first say
// which data stands in the way, the second give it up. No API answers all the while: a
// kubelet that has not heard of one since its start ends no static pod whose manifest is
// taken away (deletePod of k8s.io/kubernetes/pkg/kubelet).
func (b *bout) restores(ctx context.Context, r restoring) (string, error) {
	// One that has the ledger: the schedule's next is up to an hour away.
	if _, err := b.Wait(ctx, "there is something to lose", soon, func(context.Context) error {
		if n := b.ledger.acknowledged(); n < worthKeeping {
			return fmt.Errorf("%d writes are acknowledged", n)
		}
		return nil
	}); err != nil {
		return "", err
	}
	if _, err := r.third.Run(ctx, "imgforge-node", "snapshot"); err != nil {
		return "", err
	}
	s, err := r.third.snapshot()
	if err != nil {
		return "", err
	}
	if rest(ctx, 10*time.Second); ctx.Err() != nil { // for writes that no snapshot has
		return "", ctx.Err()
	}
	_, words, err := b.loseTwo(ctx, r.third, r.lost...)
	if err != nil {
		return words, err
	}
	old := fmt.Sprintf("%x", b.cluster)
	evidence := words + "; " + b.missing(s)
	blocked, err := b.bootRestoring(ctx, r, "", func(ctx context.Context, n *Node) (string, error) {
		return b.saysCode(ctx, n, bootcode.EtcdRestoreBlocked)
	})
	if err != nil {
		return evidence, err
	}
	if !strings.Contains(blocked, old) {
		return evidence, fmt.Errorf("the code does not name the cluster %s: %s", old, blocked)
	}
	b.RestoredFrom(s.at)
	b.Healed()
	r.before = nil
	if _, err := b.bootRestoring(ctx, r, old, func(ctx context.Context, n *Node) (string, error) {
		_, err := b.Wait(ctx, n.Name+" votes", boundVoter, n.answers("http://127.0.0.1:2381/readyz"))
		return "", err
	}); err != nil {
		return evidence, err
	}
	return evidence + "; payloads with restoreFrom said code 520, those with etcd.abandon brought it back", b.becomesWhole(ctx, boundWhole)
}

// keptSnapshot is one on a master's disk.
type keptSnapshot struct {
	name     string
	at       time.Time
	revision int64
}

// snapshot is the newest on a master's disk, by its name: etcd-TIME-rREVISION.db.age.
func (n *Node) snapshot() (s keptSnapshot, err error) {
	files, err := filepath.Glob(filepath.Join(n.root, snapshotFolder, "etcd-*.db.age"))
	if err != nil || len(files) == 0 {
		return s, errors.Join(err, fmt.Errorf("%s has no snapshot", n.Name))
	}
	s.name = filepath.Base(slices.Max(files))
	return s, s.parse()
}

func (s *keptSnapshot) parse() (err error) {
	parts := regexp.MustCompile(`^etcd-(\d{8}T\d{6}Z)-r(\d+)\.db\.age$`).FindStringSubmatch(s.name)
	if parts == nil {
		return fmt.Errorf("%s is no name of a snapshot", s.name)
	}
	if s.at, err = time.Parse("20060102T150405Z", parts[1]); err != nil {
		return err
	}
	s.revision, err = strconv.ParseInt(parts[2], 10, 64)
	return err
}

// missing says exactly which acknowledged writes a snapshot does not have.
func (b *bout) missing(s keptSnapshot) string {
	due, _ := b.ledger.all()
	var later []string
	for _, e := range due {
		if e.revision > s.revision {
			later = append(later, e.name)
		}
	}
	text := fmt.Sprintf("of %d acknowledged writes the %d up to revision %d are in %s", len(due), len(due)-len(later), s.revision, s.name)
	if len(later) > 0 {
		text += fmt.Sprintf(", and these %d came later and are gone: %s", len(later), strings.Join(later, " "))
	}
	return text
}

// bootRestoring builds payloads with etcd.restoreFrom, and with etcd.abandon where that
// is not empty, and boots all masters from them: those that lost theirs with empty
// disks, the one that is left with its own. It returns what that one says.
func (b *bout) bootRestoring(ctx context.Context, r restoring, abandon string, reach func(context.Context, *Node) (string, error)) (words string, err error) {
	out, err := b.buildRestoring(ctx, r.from, abandon)
	if err != nil {
		return "", err
	}
	all := []*Node{r.third}
	for _, name := range r.lost {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		all = append(all, n)
	}
	if err := together(all, func(n *Node) error { return n.PowerOff(ctx) }); err != nil {
		return "", err
	}
	if r.before != nil {
		if err := r.before(); err != nil {
			return "", err
		}
	}
	for _, n := range all {
		if n.made.Payload, err = os.ReadFile(filepath.Join(out, "secret", "nodes", n.Name+".ign")); err != nil {
			return "", err
		}
		if n == r.third {
			err = n.lab.ignite(ctx, n.made.Payload, n.root, filepath.Dir(n.root)) // the lab's own settings are there
		} else {
			err = n.wipe(ctx)
		}
		if err != nil {
			return "", err
		}
	}
	if _, err := PowerOn(ctx, all); err != nil {
		return "", err
	}
	err = together(all, func(n *Node) error {
		said, err := reach(ctx, n)
		if n == r.third {
			words = said
		}
		return err
	})
	return words, err
}

// buildRestoring builds the cluster's file with a snapshot to restore, from its store.
func (b *bout) buildRestoring(ctx context.Context, from, abandon string) (out string, err error) {
	text, err := os.ReadFile(b.Source.File)
	if err != nil {
		return "", err
	}
	folder := "out-restore"
	lines := "  founded: true\n  restoreFrom: " + from + "\n"
	if abandon != "" {
		folder = "out-abandon"
		lines += fmt.Sprintf("  abandon: %q\n", abandon)
	}
	if b.bucket == nil {
		lines = "\netcd:\n" + lines // else that key is the file's last
	}
	src := b.Source
	src.File = filepath.Join(b.work, "cluster", folder+".yaml")
	if err := os.WriteFile(src.File, append(text, lines...), 0o600); err != nil {
		return "", err
	}
	out = filepath.Join(b.work, "cluster", folder)
	_, err = b.App.Build(ctx, forge.BuildOptions{Source: src, Out: out})
	return out, err
}
