package node

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// userData removes this server's user-data at the provider. It holds this node's keys,
// and nobody needs it any more once the node is Ready: first boots happen once. Whoever
// reads the project's user-data finds nothing then.
type userData struct {
	host   host
	url    string // of the metadata service
	report step.Reporter
	pause  time.Duration // between two looks and two tries
	port   func() int    // to ask from
}

// keepsUserData tells whether the provider keeps user-data that its server can delete.
func (h host) keepsUserData() bool { return h.provider() == "scaleway" }

// run waits until the node is Ready, deletes, and then has nothing more to do.
func (u userData) run(ctx context.Context) error {
	for !u.ready() {
		if !sleep(ctx, u.pause) {
			return nil
		}
	}
	for {
		err := u.remove(ctx)
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

// remove asks from a port that only root can have: the service answers no other. What
// is gone already is as good.
func (u userData) remove(ctx context.Context) error {
	var last error
	for range 8 { // a port may be taken
		from := &net.TCPAddr{Port: u.port()}
		transport := &http.Transport{DisableKeepAlives: true, DialContext: (&net.Dialer{LocalAddr: from, Timeout: metadataTimeout}).DialContext}
		client := &http.Client{Timeout: metadataTimeout, Transport: transport}
		req, err := http.NewRequestWithContext(ctx, http.MethodDelete, u.url+"/user_data/cloud-init", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			last = plain(err)
			continue
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, maxMetadata))
		resp.Body.Close()
		if resp.StatusCode/100 == 2 || resp.StatusCode == http.StatusNotFound {
			return nil
		}
		return fmt.Errorf("the metadata service answers %d when asked to delete user-data", resp.StatusCode)
	}
	return fmt.Errorf("the metadata service does not delete user-data: %w", last)
}

// userData is the part of a node whose provider keeps it.
func (s service) userData(ctx context.Context) error {
	return userData{host{root: s.o.root}, "http://169.254.42.42", s.log, 3 * time.Second, rootsPort}.run(ctx)
}

// rootsPort is a port that only root can have, and that few programs use.
func rootsPort() int { return 600 + rand.IntN(400) }
