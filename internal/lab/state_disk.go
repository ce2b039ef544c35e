package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/plan"
)

// Classes of rows about disks that stay.
const (
	classFull    = "a full disk"
	classCorrupt = "a corrupted etcd data file"
)

// diskRows fill disks and spoil what is on them.
func diskRows(p *plan.Plan) (rows []Fault) {
	masters := notReserved(p, plan.Master)
	if len(masters) < 3 {
		return nil
	}
	m := masters[2].Name
	if workers := notReserved(p, plan.Worker); len(workers) > 1 {
		rows = append(rows, Fault{Class: classFull, Name: "the disk of " + workers[0].Name + " is full", Serves: true, Do: fullWorker(workers[0].Name)})
	}
	return append(rows,
		Fault{Class: classFull, Name: "the disk of etcd on " + m + " is full", Short: true, Serves: true, Do: fullDisk(m)},
		Fault{Class: classCorrupt, Name: "bytes of etcd's log on " + m + " are flipped", Short: true, Serves: true, Do: flippedLog(m, flipRecord, "a record does not fit its checksum")},
		Fault{Class: classCorrupt, Name: "a length in etcd's log on " + m + " is flipped", Serves: true, Do: flippedLog(m, flipLength, "no record is of")},
		Fault{Class: classCorrupt, Name: "pages of etcd's database on " + m + " are overwritten", Short: true, Serves: true, Do: spoiledDatabase(m)})
}

// smallDisk is what a state folder gets in the rows about a full one, in bytes: for etcd
// that is room for its log, of which it sets two parts of 64 MiB aside, and its database.
const smallDisk = 320 << 20

// fullDisk gives a master a small disk for etcd, fills it, and makes room again.
func fullDisk(name string) func(context.Context, *bout) (string, error) {
	return onSmallDisk(name, func(ctx context.Context, n *Node) (func(context.Context) error, error) { return n.ownDisk(ctx, "etcd") }, (*bout).fillMaster)
}

// onSmallDisk gives a node a small disk and has something happen once the cluster is
// whole with it. Whatever that was, the node gets its own disk back.
func onSmallDisk(name string, give func(context.Context, *Node) (back func(context.Context) error, err error), happen func(*bout, context.Context, *Node) (string, error)) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (evidence string, err error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		b.Aside(n)
		back, err := give(ctx, n)
		if err != nil {
			return "", err
		}
		defer func() {
			bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, back(bounded))
		}()
		if err := b.becomesWhole(ctx, boundWhole); err != nil {
			return "", err
		}
		return happen(b, ctx, n)
	}
}

// fillMaster fills the disk of a master's etcd, which may end of it while the others
// serve; with room it goes on.
func (b *bout) fillMaster(ctx context.Context, n *Node) (string, error) {
	b.Begun()
	filler := filepath.Join(n.state, "etcd", "filler")
	if err := fill(filler); err != nil {
		return "", err
	}
	if err := b.enlarge(ctx, 6); err != nil { // what etcd has to write has no room
		return "", err
	}
	said, err := b.saysCode(ctx, n, bootcode.DiskFull)
	if err != nil {
		return "", err
	}
	state := "its etcd went on in the room that it had"
	if _, err := b.Wait(ctx, "etcd of "+n.Name+" ends", 20*time.Second, func(ctx context.Context) error {
		if n.answers("http://127.0.0.1:2381/readyz")(ctx) == nil {
			return errors.New("it answers")
		}
		return nil
	}); err == nil {
		state = "its etcd ended"
	}
	if err := b.Serves(ctx, soon); err != nil {
		return "", fmt.Errorf("while one disk is full: %w", err)
	}
	if err := os.Remove(filler); err != nil {
		return "", err
	}
	b.Healed()
	if err := b.becomesWhole(ctx, boundWhole); err != nil {
		return "", err
	}
	took, err := b.Wait(ctx, n.Name+" has nothing more to say about its disk", 2*time.Minute, func(context.Context) error {
		if _, err := n.endsIn(bootcode.DiskFull); err == nil {
			return errors.New("its console ends in that code")
		}
		return nil
	})
	b.Measure("the code is withdrawn", took, 0)
	return said + "; " + state + ", the others served on; with room it went on by itself", err
}

// fill writes a file until there is no room left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); err != nil {
			if len(block) == 1 {
				return nil
			}
			block = block[:max(1, len(block)/16)]
		}
	}
}

// enlarge writes objects of most of a mebibyte through the API, and deletes them.
func (b *bout) enlarge(ctx context.Context, count int) error {
	text := strings.Repeat("0123456789abcdef", 56<<10)
	for i := range count {
		object := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large-%d","namespace":"default"},"data":{"text":%q}}`, i, text)
		for _, do := range [][]string{{"replace", "--force", "-f", "-"}, {"delete", "--ignore-not-found", "-f", "-"}} {
			// The API server that is asked may be the one whose etcd has just ended.
			_, err := b.Wait(ctx, "a large object is written", soon, func(ctx context.Context) error {
				_, err := b.o.kubectlIn(ctx, b.standpoint(), object, append([]string{"--server=" + b.Plan.Endpoint.URL}, do...)...)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// ownDisk gives one of a node's state folders a small file system of its own,
// with what the folder holds; back gives the folder back what that holds then.
func (n *Node) ownDisk(ctx context.Context, folder string) (back func(context.Context) error, err error) {
	at := filepath.Join(n.state, folder)
	aside := at + ".aside"
	if err := n.PowerOff(ctx); err != nil {
		return nil, err
	}
	err = n.lab.runAll(ctx,
		[]string{"mv", at, aside},
		[]string{"mkdir", "--mode=0700", at},
		[]string{"mount", "-t", "tmpfs", "-o", fmt.Sprintf("mode=0700,size=%d", smallDisk), "lab", at},
		[]string{"cp", "-a", aside + "/.", at},
		[]string{"rm", "-rf", aside})
	if err != nil {
		return nil, err
	}
	mounted := true
	unmount := func(ctx context.Context) error {
		if !mounted {
			return nil
		}
		mounted = false
		_, err := n.lab.run(ctx, "umount", at)
		return err
	}
	n.lab.later("disk of "+n.Name, func(ctx context.Context) error { return errors.Join(n.PowerOff(ctx), unmount(ctx)) })
	back = func(ctx context.Context) error {
		if err := n.PowerOff(ctx); err != nil {
			return err
		}
		if err := n.lab.runAll(ctx, []string{"cp", "-a", at, aside}); err != nil {
			return err
		}
		if err := unmount(ctx); err != nil {
			return err
		}
		if err := n.lab.runAll(ctx, []string{"rmdir", at}, []string{"mv", aside, at}); err != nil {
			return err
		}
		return n.PowerOn(ctx)
	}
	return back, n.PowerOn(ctx)
}
