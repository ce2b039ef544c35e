package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/apply"
	"github.com/imgforge/imgforge/internal/node/approve"
	"github.com/imgforge/imgforge/internal/node/clock"
	"github.com/imgforge/imgforge/internal/node/etcd"
	"github.com/imgforge/imgforge/internal/node/images"
	"github.com/imgforge/imgforge/internal/node/publicip"
	"github.com/imgforge/imgforge/internal/node/reboot"
	"github.com/imgforge/imgforge/internal/node/room"
	"github.com/imgforge/imgforge/internal/node/snapshot"
	"github.com/imgforge/imgforge/internal/node/status"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/watch"
)

// service is what units run beside the claim: the steps before the kubelet, and the
// parts that run for as long as the node does.
type service struct {
	o   options
	log *step.Log
}

func newService(o options, stderr io.Writer) service {
	return service{o, &step.Log{Root: o.root, Stderr: stderr, Now: time.Now}}
}

// do runs the command that words are; known is false when they are none.
func (s service) do(ctx context.Context, words []string) (err error, known bool) {
	switch {
	case len(words) == 1 && words[0] == "run":
		return s.run(ctx), true
	case len(words) == 1 && words[0] == "time":
		return clock.Run(ctx, clock.Options{Root: s.o.root, Report: s.log}), true
	case len(words) == 1 && words[0] == "snapshot":
		return s.snapshot(ctx), true
	case len(words) == 1 && words[0] == "images":
		return s.images(ctx), true
	case len(words) == 2 && words[0] == "etcd" && words[1] == "guard":
		return s.guard(ctx), true
	case len(words) == 1:
		for _, p := range s.parts("master") { // which has all of them
			if p.name == words[0] {
				return p.run(ctx), true
			}
		}
	}
	return nil, false
}

// parts are what a node of this role runs.
func (s service) parts(role string) []part {
	out := []part{{"watch", s.watch}, {"clock", s.clock}, {"status", s.status}, {"room", s.room}, {"reboot", s.reboot}}
	if (host{root: s.o.root}).deletesUserData() {
		out = append(out, part{"userdata", s.userData})
	}
	if (host{root: s.o.root}).exists(artifact.PublicIPPath) {
		out = append(out, part{"publicip", s.publicIP})
	}
	if role == "master" {
		out = append(out, part{"etcd", s.etcd}, part{"snapshots", s.snapshots}, part{"apply", s.apply}, part{"approve", s.approve})
	}
	return out
}

// run keeps all parts of this node's role running until ctx ends.
func (s service) run(ctx context.Context) error {
	data, err := os.ReadFile(s.o.config)
	if err != nil {
		return bootcode.Fail(bootcode.IdentityDamaged, "%v", err)
	}
	n, err := artifact.ParseNodeFile(data)
	if err != nil {
		return bootcode.Fail(bootcode.IdentityDamaged, "%s: %v", s.o.config, err)
	}
	sv := supervisor{report: s.log, first: time.Second, longest: 30 * time.Second}
	sv.run(ctx, s.parts(n.Role))
	return nil
}

// guarded is there once the guard has seen etcd's folder with its disk mounted. Until
// then an empty folder says nothing.
const guarded = "/run/imgforge/etcd-guarded"

// guard lets the kubelet start only when no manifest of etcd can do harm.
func (s service) guard(ctx context.Context) error {
	for {
		err := etcd.Guard(etcd.Options{Root: s.o.root, Report: s.log})
		if err == nil {
			return host{root: s.o.root}.place([]artifact.File{{Path: guarded}})
		}
		if !s.o.keepTrying {
			return err
		}
		if f, ok := errors.AsType[*bootcode.Failure](err); ok {
			s.log.Failed(f) // once, however often it is tried
		}
		if !sleep(ctx, s.o.pause) {
			return err
		}
	}
}

// images makes the images of this node's bundles known to containerd.
func (s service) images(ctx context.Context) error {
	for {
		err := images.Run(ctx, images.Options{Root: s.o.root, Report: s.log})
		if err == nil || !s.o.keepTrying {
			return err
		}
		if f, ok := errors.AsType[*bootcode.Failure](err); ok {
			s.log.Failed(f) // once, however often it is tried
		}
		if !sleep(ctx, s.o.pause) {
			return err
		}
	}
}

// etcd makes and keeps this node a member.
func (s service) etcd(ctx context.Context) error {
	for !(host{root: s.o.root}).exists(guarded) {
		s.log.Waiting(step.Etcd, "for imgforge-etcd-guard.service, which waits for the disk of etcd if it has one")
		if !sleep(ctx, 200*time.Millisecond) {
			return nil
		}
	}
	ended := func() string { return watch.Ended(s.o.root, "etcd") }
	return etcd.Run(ctx, etcd.Options{Root: s.o.root, Report: s.log, Ended: ended})
}

// snapshots takes and keeps copies of etcd on a schedule.
func (s service) snapshots(ctx context.Context) error {
	o, err := s.snapshotOptions()
	if err != nil {
		return err
	}
	return snapshot.Run(ctx, o)
}

// snapshot takes one now.
func (s service) snapshot(ctx context.Context) error {
	o, err := s.snapshotOptions()
	if err != nil {
		return err
	}
	path, err := snapshot.Once(ctx, o)
	if path != "" {
		fmt.Fprintln(s.log.Stderr, "imgforge: snapshot", path)
	}
	return err
}

func (s service) snapshotOptions() (snapshot.Options, error) {
	config, err := etcd.Client(s.o.root)
	if err != nil {
		return snapshot.Options{}, bootcode.Fail(bootcode.SnapshotUnable, "%v", err)
	}
	return snapshot.Options{Root: s.o.root, Report: s.log, TLS: config, Now: time.Now}, nil
}

func (s service) watch(ctx context.Context) error {
	return watch.Run(ctx, watch.Options{Root: s.o.root, Report: s.log, Stderr: s.log.Stderr})
}

func (s service) clock(ctx context.Context) error {
	return clock.Late(ctx, clock.Options{Root: s.o.root, Report: s.log})
}

func (s service) status(ctx context.Context) error {
	return status.Run(ctx, status.Options{Root: s.o.root, Report: s.log, Version: version(), Now: time.Now})
}

func (s service) room(ctx context.Context) error {
	return room.Run(ctx, room.Options{Root: s.o.root, Stderr: s.log.Stderr})
}

func (s service) reboot(ctx context.Context) error {
	if s.o.request || s.o.now {
		return reboot.Request(s.o.root, s.o.now)
	}
	spare := func(ctx context.Context, name string) (string, error) {
		return etcd.Spare(ctx, etcd.Options{Root: s.o.root}, name)
	}
	return reboot.Run(ctx, reboot.Options{Root: s.o.root, Report: s.log, Spare: spare})
}

func (s service) publicIP(ctx context.Context) error {
	// The SDK's variable, which nothing sets on a node.
	return publicip.Run(ctx, publicip.Options{Root: s.o.root, Report: s.log, URL: os.Getenv("SCW_API_URL")})
}

func (s service) apply(ctx context.Context) error {
	return apply.Run(ctx, apply.Options{Root: s.o.root, Report: s.log})
}

func (s service) approve(ctx context.Context) error {
	return approve.Run(ctx, approve.Options{Root: s.o.root, Report: s.log})
}

// sleep returns false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
