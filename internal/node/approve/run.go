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
	"maps"
	"net/http"
	"slices"
	"strings"
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
	// warned are the requests that were told about and still wait, by uid, and why.
	warned map[string]string
	seen   map[string]string // in the list that is being read
	failed bool              // the last look
	hidden bool              // what was said last is not about requests
}

// Run judges requests until ctx ends.
func Run(ctx context.Context, o Options) error {
	a, err := load(o)
	if err != nil {
		return bootcode.Fail(bootcode.AddonsUnable, "%v", err)
	}
	pause := a.o.First
	for {
		began := time.Now()
		err := a.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		a.tell(err)
		if time.Since(began) > a.o.Rest { // a watch that lasted; one that ends at once makes the pauses longer too
			pause = a.o.First
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
	a := &approver{o: o, warned: map[string]string{}}
	var err error
	if a.cluster, err = artifact.ReadClusterFile(o.Root); err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	a.client, err = api.New(o.Root)
	return a, err
}

// all are the requests that are listed and watched.
func all() (api.Ref, api.Selection) {
	return api.Ref{APIVersion: "certificates.k8s.io/v1", Kind: "CertificateSigningRequest"}, api.Selection{Fields: "spec.signerName=" + signer}
}

// look judges all requests that are there, and then each that comes, until the
// watch ends. One that the API server lets nobody approve holds no other up.
func (a *approver) look(ctx context.Context) error {
	ref, selection := all()
	a.seen = map[string]string{}
	var refused []error
	version, err := a.client.List(ctx, ref, selection, func(object json.RawMessage) error {
		err := a.consider(ctx, object)
		if one(err) {
			refused, err = append(refused, err), nil
		}
		return err
	})
	if err != nil {
		return err
	}
	a.warned, a.seen = a.seen, nil
	if err := errors.Join(refused...); err != nil {
		return err
	}
	a.tell(nil)
	a.still()
	return a.client.Watch(ctx, ref, selection, version, func(event string, object json.RawMessage) error {
		switch event {
		case "ADDED", "MODIFIED":
			return a.consider(ctx, object)
		case "DELETED":
			return a.forget(object)
		}
		return nil
	})
}

// one tells whether the API server's no is about that request alone.
func one(err error) bool {
	r := api.Refused(err)
	return r != nil && !slices.Contains([]int{http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, r.Status)
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
		return a.forget(raw)
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
	text := fmt.Sprintf("%s: %v", name, why)
	if a.seen != nil {
		a.seen[uid] = text
	}
	if _, told := a.warned[uid]; !told {
		a.fail(bootcode.ServingRefused, text)
		a.hidden = false
	}
	a.warned[uid] = text
}

// forget takes a request off those that wait.
func (a *approver) forget(raw json.RawMessage) error {
	var r object
	if err := json.Unmarshal(raw, &r); err != nil {
		return fmt.Errorf("read a certificate signing request: %w", err)
	}
	if _, told := a.warned[r.Metadata.UID]; told && a.seen == nil {
		delete(a.warned, r.Metadata.UID)
		a.hidden = true
		a.still()
	}
	return nil
}

// still tells which requests wait, where something else was said since, and that none
// does.
func (a *approver) still() {
	switch {
	case len(a.warned) == 0:
		a.o.Report.Done(step.Serving, "no request for a serving certificate waits for a person")
	case a.hidden:
		a.fail(bootcode.ServingRefused, strings.Join(slices.Sorted(maps.Values(a.warned)), "\n"))
	}
	a.hidden = false
}

// fail tells of a code as the last word of this step, whichever step the table names:
// what applies the add-ons meets the same codes.
func (a *approver) fail(code int, why string) {
	f := bootcode.Fail(code, "%s", why)
	f.Code.Step = step.Serving
	a.o.Report.Failed(f)
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
		a.fail(bootcode.AddonsDenied, err.Error())
		a.hidden = true
	case api.Refused(err) != nil && a.failed:
		a.fail(bootcode.AddonsFailed, err.Error())
		a.hidden = true
	}
	a.failed = api.Refused(err) != nil
}
