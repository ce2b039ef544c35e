package apply

import (
	"context"
	"fmt"
	"time"

	"github.com/imgforge/imgforge/internal/node/api"
)

const (
	leaseTime  = 15 * time.Second // a holder that says nothing for so long has ended
	renewEvery = 5 * time.Second
)

// lock is a Lease that one master holds at a time. Clocks of two masters are never
// compared: a holder has ended when its lease has not changed for as long as it
// lasts, as seen from here.
type lock struct {
	client   *api.Client
	identity string
	now      func() time.Time

	seen   string // what the holder said last
	seenAt time.Time
}

// lease is what is read and written of the Lease; labels of users stay.
type lease struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       leaseSpec      `json:"spec"`
}

type leaseSpec struct {
	Holder      string `json:"holderIdentity"`
	Seconds     int    `json:"leaseDurationSeconds"`
	Acquired    string `json:"acquireTime,omitempty"`
	Renewed     string `json:"renewTime,omitempty"`
	Transitions int    `json:"leaseTransitions"`
}

func leaseRef() api.Ref {
	return api.Ref{APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: "kube-system", Name: "imgforge-apply"}
}

// take acquires or renews the lease and returns who holds it: this master, another,
// or "" where another one was just quicker.
func (l *lock) take(ctx context.Context) (holder string, err error) {
	r, now := leaseRef(), l.now()
	var have lease
	err = l.client.Get(ctx, r, &have)
	if api.Missing(err) {
		first := lease{r.APIVersion, r.Kind, map[string]any{"name": r.Name, "namespace": r.Namespace}, leaseSpec{}}
		return l.settle(l.client.Create(ctx, r, l.mine(first, now), nil))
	}
	if err != nil {
		return "", err
	}
	if other := have.Spec.Holder; other != "" && other != l.identity {
		if said := other + " " + have.Spec.Renewed; said != l.seen {
			l.seen, l.seenAt = said, now
		}
		if now.Sub(l.seenAt) < time.Duration(have.Spec.Seconds)*time.Second {
			return other, nil
		}
	}
	return l.settle(l.client.Update(ctx, r, "", l.mine(have, now), nil))
}

// mine is the lease held by this master from now on.
func (l *lock) mine(have lease, now time.Time) []byte {
	const micro = "2006-01-02T15:04:05.000000Z07:00"
	s := &have.Spec
	if s.Holder != l.identity {
		s.Acquired = now.UTC().Format(micro)
		s.Transitions++
	}
	s.Holder, s.Seconds, s.Renewed = l.identity, int(leaseTime/time.Second), now.UTC().Format(micro)
	return body(have)
}

func (l *lock) settle(err error) (string, error) {
	if api.Changed(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return l.identity, nil
}

// release lets the next master take the lease at once.
func (l *lock) release(ctx context.Context) error {
	var have lease
	if err := l.client.Get(ctx, leaseRef(), &have); err != nil {
		return err
	}
	if have.Spec.Holder != l.identity {
		return nil
	}
	have.Spec.Holder, have.Spec.Seconds = "", 1
	_, err := l.settle(l.client.Update(ctx, leaseRef(), "", body(have), nil))
	return err
}

// during does work while this master holds the lease, and ends it when the lease is
// lost. It returns who holds the lease instead where it is another.
func (l *lock) during(ctx context.Context, work func(ctx context.Context) error) (other string, err error) {
	holder, err := l.take(ctx)
	if err != nil || holder != l.identity {
		return holder, err
	}
	held, lose := context.WithCancelCause(ctx)
	defer lose(nil) // also where work panics
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.renew(held, lose)
	}()
	err = work(held)
	if err != nil && context.Cause(held) != nil {
		err = context.Cause(held)
	}
	lose(nil)
	<-ended
	// What was done is done, also when the process ends now.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), renewEvery)
	defer cancel()
	if failed := l.release(last); err == nil && failed != nil {
		return holder, fmt.Errorf("let the lease go: %w", failed)
	}
	return holder, err
}

// renew keeps the lease until ctx ends; two thirds of it without an answer is lost.
func (l *lock) renew(ctx context.Context, lose context.CancelCauseFunc) {
	last := l.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(renewEvery):
		}
		holder, err := l.take(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && holder == l.identity:
			last = l.now()
		case err == nil && holder != "":
			lose(fmt.Errorf("%s took the lease", holder))
			return
		case l.now().Sub(last) >= 2*renewEvery:
			lose(fmt.Errorf("the lease could not be renewed: %w", orLost(err)))
			return
		}
	}
}

func orLost(err error) error {
	if err == nil {
		return fmt.Errorf("others keep changing it")
	}
	return err
}
