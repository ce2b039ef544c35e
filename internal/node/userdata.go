package node

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/node/userdata"
)

// userData removes this server's user-data at the provider. It holds this node's keys,
// and nobody needs it any more once the node is Ready: first boots happen once. Whoever
// reads the project's user-data finds nothing then.
type userData struct {
	host    host
	service userdata.Service
	report  step.Reporter
	pause   time.Duration // between two looks and two tries
}

// deletesUserData tells whether the provider keeps user-data that its server can delete,
// and is to.
func (h host) deletesUserData() bool {
	c, err := artifact.ReadClusterFile(h.root)
	return err == nil && c.Provider == "scaleway" && !c.KeepUserData
}

// run waits until the node is Ready, deletes, and then has nothing more to do.
func (u userData) run(ctx context.Context) error {
	for !u.ready() {
		if !sleep(ctx, u.pause) {
			return nil
		}
	}
	for {
		err := u.service.Delete(ctx)
		if err == nil {
			break
		}
		u.report.Failed(bootcode.Fail(bootcode.UserDataStays, "%v", err))
		if !sleep(ctx, 10*u.pause) {
			return nil
		}
	}
	n, err := u.host.nodeFile()
	if err != nil {
		return err
	}
	u.report.Done(step.Claim, fmt.Sprintf("this is %s; the provider has no user-data of it any more", n.Node))
	<-ctx.Done()
	return nil
}

// ready tells whether the kubelet's step has ended well, which it does when the API
// says that the node is Ready.
func (u userData) ready() bool {
	records, err := step.Read(u.host.root)
	if err != nil {
		return false
	}
	for _, r := range records {
		if r.Step == step.Kubelet {
			return r.State == step.Done
		}
	}
	return false
}

// userData is the part of a node whose provider keeps it.
func (s service) userData(ctx context.Context) error {
	service, _ := userdata.Of((host{root: s.o.root}).provider())
	return userData{host{root: s.o.root}, service, s.log, 3 * time.Second}.run(ctx)
}
