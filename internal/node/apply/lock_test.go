package apply

import (
	"context"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/node/api"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

// Work that ends in a panic, after which this part is started anew, does not go on
// holding the lease: another master may fare better.
func TestPanicEndsTheLease(t *testing.T) {
	client, err := api.New(apiserver.NewStandIn(t, theCluster()).Root)
	if err != nil {
		t.Fatal(err)
	}
	l := &lock{client: client, identity: "master-1", now: time.Now}
	var held context.Context
	func() {
		defer func() { recover() }()
		_, err = l.during(t.Context(), func(ctx context.Context) error {
			held = ctx
			panic("work")
		})
	}()
	if held == nil || held.Err() == nil {
		t.Errorf("the lease is renewed without end (%v)", err)
	}
}
