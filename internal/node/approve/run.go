// Package approve gives kubelets their serving certificates: on masters, and only
// when a request is what the plan says of the node that asks. Anything else stays
// pending, for people to see; nothing is ever denied or deleted.
package approve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Options are what a run takes from outside; zero values are those of a node.
type Options struct {
	Root   string // "/" when empty
	Report step.Reporter
	Now    func() time.Time
	// First and Rest are the pauses after a failed look: the first, and the longest.
	// 250 ms and 5 s.
	First, Rest time.Duration
}

// approver is a master at work.
type approver struct {
	o       Options
	client  *api.Client
	cluster artifact.ClusterFile
	// warned are the requests that were told about, by uid, and are still there.
	warned map[string]bool
	seen   map[string]bool // in the list that is being read
	failed bool            // the last look
}

// Run judges requests until ctx ends.
func Run(ctx context.Context, o Options) error {
	a, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.AddonsUnable, "%v", err)
	}
	pause := a.o.First
	for {
		err := a.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.tell(err)
		if err == nil || errors.Is(err, api.ErrStale) {
			pause = a.o.First // a watch that its server ended
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(pause*3/2, a.o.Rest)
	}
}

func load(o Options) (*approver, error) {
	o.Root, o.First, o.Rest = cmp.Or(o.Root, "/"), cmp.Or(o.First, 250*time.Millisecond), cmp.Or(o.Rest, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	data, err := os.ReadFile(filepath.Join(o.Root, artifact.ClusterFilePath))
	if err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	a := &approver{o: o, warned: map[string]bool{}}
	if a.cluster, err = artifact.ParseClusterFile(data); err != nil {
		return nil, err
	}
	a.client, err = api.New(o.Root)
	return a, err
}

// all are the requests that are listed and watched.
func all() (api.Ref, api.Selection) {
	return api.Ref{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"}, api.Selection{Fields: "spec.signerName=" + signer}
}

// look judges all requests that are there, and then each that comes, until the
// watch ends.
func (a *approver) look(ctx context.Context) error {
	ref, selection := all()
	a.seen = map[string]bool{}
	version, err := a.client.List(ctx, ref, selection, func(object json.RawMessage) error { return a.consider(ctx, object) })
	if err != nil {
		return err
	}
	a.warned, a.seen = a.seen, nil
	a.tell(nil)
	return a.client.Watch(ctx, ref, selection, version, func(event string, object json.RawMessage) error {
		if event != "ADDED" && event != "MODIFIED" {
			return nil
		}
		return a.consider(ctx, object)
	})
}

// object is what is read of a CertificateSigningRequest.
type object struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Signer  string   `json:"signerName"`
		User    string   `json:"username"`
		Groups  []string `json:"groups"`
		Usages  []string `json:"usages"`
		Request []byte   `json:"request"`
	} `json:"spec"`
	Status struct {
		Certificate []byte `json:"certificate"`
		Conditions  []struct {
			Type string `json:"type"`
		} `json:"conditions"`
	} `json:"status"`
}

// consider approves one request, or tells why it stays pending. What was decided
// already, by whomever, is left alone.
func (a *approver) consider(ctx context.Context, raw json.RawMessage) error {
	var r object
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read a certificate signing request: %w", err)
	}
	if len(r.Status.Certificate) > 0 || len(r.Status.Conditions) > 0 {
		return nil
	}
	s := r.Spec
	if why := Judge(Request{Signer: s.Signer, User: s.User, Groups: s.Groups, Usages: s.Usages, PEM: s.Request}, a.cluster); why != nil {
		a.warn(r.Metadata.Name, r.Metadata.UID, why)
		return nil
	}
	body, err := approved(raw, a.o.Now())
	if err != nil {
		return fmt.Errorf("approve the request %s: %w", r.Metadata.Name, err)
	}
	ref, _ := all()
	ref.Name = r.Metadata.Name
	err = a.client.Update(ctx, ref, "approval", body, nil)
	if api.Changed(err) || api.Missing(err) { // another master was first
		return nil
	}
	return err
}

// warn tells of a request once, for as long as it is there.
func (a *approver) warn(name, uid string, why error) {
	if a.seen != nil {
		a.seen[uid] = true
	}
	if !a.warned[uid] {
		a.o.Report.Failed(bootcode.Fail(bootcode.ServingRefused, "%s: %v", name, why))
	}
	a.warned[uid] = true
}

// approved is the object with the condition that lets the signer sign; the API
// server takes nothing else of it.
func approved(raw json.RawMessage, now time.Time) ([]byte, error) {
	var all, status map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	if len(all["status"]) > 0 {
		if err := json.Unmarshal(all["status"], &status); err != nil {
			return nil, err
		}
	}
	if status == nil {
		status = map[string]json.RawMessage{}
	}
	var err error
	status["conditions"], err = json.Marshal([]map[string]string{{
		"type": "Approved", "status": "True", "reason": "SameAsPlan", "lastUpdateTime": now.UTC().Format(time.RFC3339),
		"message": "imgforge: subject, names and addresses are those of the plan's node",
	}})
	if err != nil {
		return nil, err
	}
	if all["status"], err = json.Marshal(status); err != nil {
		return nil, err
	}
	// Objects of a list do not say what they are.
	all["apiVersion"], all["kind"] = json.RawMessage(`"certificates.k8s.io/v1"`), json.RawMessage(`"CertificateSigningRequest"`)
	return json.Marshal(all)
}

// tell reports a look that failed because the API server said no. That it does not
// answer is told by what waits for it.
func (a *approver) tell(err error) {
	switch {
	case api.Unwelcome(err) || api.Strange(err):
		a.o.Report.Failed(bootcode.Fail(bootcode.AddonsDenied, "%v", err))
	case api.Refused(err) != nil && a.failed:
		a.o.Report.Failed(bootcode.Fail(bootcode.AddonsFailed, "%v", err))
	}
	a.failed = api.Refused(err) != nil
}
