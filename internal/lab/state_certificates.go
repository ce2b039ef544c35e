package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

// Classes of rows about certificates.
const (
	classExpired = "an expired leaf"
	classForeign = "a foreign authority"
)

// certificateRows replace machines by such with a payload that cannot work; the right
// payload on an empty disk brings them back.
func certificateRows(p *plan.Plan) (rows []Fault) {
	if workers := notReserved(p, plan.Worker); len(workers) > 0 {
		w := workers[0].Name
		rows = append(rows,
			Fault{Class: classExpired, Name: w + " boots a payload whose leaves have ended", Short: true, Serves: true, Do: spoiled(w, bootcode.TimeAfter, expired)},
			Fault{Class: classForeign, Name: w + " boots a payload with the authority of another store", Serves: true,
				Do: spoiled(w, bootcode.LeafForeign, foreign("/etc/kubernetes/pki/ca.crt"))},
			Fault{Class: classForeign, Name: w + " boots the payload of another store", Serves: true, Do: spoiled(w, bootcode.MeshRefused, strange)})
	}
	if masters := notReserved(p, plan.Master); len(masters) > 2 {
		m := masters[1].Name
		rows = append(rows,
			Fault{Class: classExpired, Name: m + " boots a payload whose leaves have ended", Serves: true, Do: spoiled(m, bootcode.TimeAfter, expired)},
			Fault{Class: classForeign, Name: m + " boots a payload with the etcd authority of another store", Short: true, Serves: true,
				Do: spoiled(m, bootcode.LeafForeign, foreign("/etc/kubernetes/pki/etcd/ca.crt"))})
	}
	return rows
}

// spoiled has a node boot a payload that is wrong, with an empty disk, waits for the
// code that says so, and has it boot the right one.
func spoiled(name string, code int, wrong func(context.Context, *bout, string) ([]byte, error)) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		payload, err := wrong(ctx, b, name)
		if err != nil {
			return "", err
		}
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		right := n.made.Payload
		b.Aside(n)
		b.Begun()
		if err := n.replace(ctx, payload); err != nil {
			return "", err
		}
		words, err := b.saysCode(ctx, n, code)
		if err != nil {
			return "", err
		}
		if err := n.replace(ctx, right); err != nil {
			return "", err
		}
		b.Healed()
		return words, b.readyAgain(ctx, n)
	}
}

// expired is a node's payload of this very store with leaves that its authorities
// issued when they began to be good, for a day, which is over since the store was made.
func expired(ctx context.Context, b *bout, name string) ([]byte, error) {
	dir := filepath.Join(b.work, "expired")
	out := filepath.Join(dir, "out")
	if _, err := os.Stat(out); err != nil {
		if err := b.buildEnding(ctx, dir, out, time.Time{}); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(filepath.Join(out, "secret", "nodes", name+".ign"))
}

// buildEnding builds the cluster from its store, with leaves that end at a time, or at
// the first that its authorities can sign for.
func (b *bout) buildEnding(ctx context.Context, dir, out string, end time.Time) error {
	src := forge.Source{File: filepath.Join(dir, "cluster.yaml"), Store: filepath.Join(dir, "store")}
	text, err := os.ReadFile(b.Source.File)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(src.File, append(text, "\npki: {leafDays: 1}\n"...), 0o600); err != nil {
		return err
	}
	if err := os.CopyFS(src.Store, os.DirFS(b.Source.Store)); err != nil {
		return err
	}
	authorities, err := b.authorities()
	if err != nil {
		return err
	}
	var begin time.Time
	for _, a := range authorities {
		if a.NotBefore.After(begin) {
			begin = a.NotBefore
		}
	}
	app := *b.App
	at := begin.Add(time.Second)
	if day := end.Add(-24 * time.Hour); day.After(at) {
		at = day
	}
	app.Now = func() time.Time { return at }
	if _, err := app.PKIRenew(ctx, src, nil, 100*366); err != nil {
		return fmt.Errorf("issue leaves as of %s: %w", at, err)
	}
	_, err = app.Build(ctx, forge.BuildOptions{Source: src, Out: out})
	return err
}

// other is the same cluster file built with a store of its own.
func (b *bout) other(ctx context.Context) (*Built, error) {
	const folder = "other"
	out := filepath.Join(b.work, folder, "out")
	if _, err := os.Stat(out); err == nil {
		return &Built{Out: out}, nil
	}
	return b.buildBy(ctx, time.Now, folder)
}

// strange is a node's payload of another store.
func strange(ctx context.Context, b *bout, name string) ([]byte, error) {
	other, err := b.other(ctx)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(other.path("nodes/" + name + ".ign"))
}

// foreign is a node's payload with one authority of another store.
func foreign(path string) func(context.Context, *bout, string) ([]byte, error) {
	return func(ctx context.Context, b *bout, name string) ([]byte, error) {
		other, err := b.other(ctx)
		if err != nil {
			return nil, err
		}
		payload, err := b.Payload("nodes/" + name + ".ign")
		if err != nil {
			return nil, err
		}
		return exchange(payload, other.path("nodes/"+name+".ign"), path)
	}
}
