package approve

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/apiserver"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// told passes failures on.
type told chan *bootcode.Failure

func (t told) Failed(f *bootcode.Failure) { t <- f }
func (t told) Waiting(string, string)     {}
func (t told) Done(string, string)        {}

// provoke runs an approver until it tells something.
func provoke(t *testing.T, s *apiserver.StandIn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ch := make(told, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Root: s.Root, Report: ch, First: time.Millisecond, Rest: 10 * time.Millisecond})
	}()
	defer func() { cancel(); <-ended }()
	select {
	case f := <-ch:
		return f.Error()
	case <-ctx.Done():
		t.Error("nothing was told")
		return ""
	}
}

// The code of a refused request has one golden text, made by a forged one.
func TestCodeHasItsText(t *testing.T) {
	s := apiserver.NewStandIn(t, plan())
	forged := request(t, "worker-1", "192.168.66.253", nil)
	s.Put("/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-7xk2p", map[string]any{
		"metadata": map[string]any{"name": "csr-7xk2p", "uid": "1"},
		"spec": map[string]any{"signerName": signer, "username": "system:node:worker-1", "groups": []string{"system:nodes"},
			"usages": serving, "request": base64.StdEncoding.EncodeToString(forged)},
	})
	c, _ := bootcode.Of(bootcode.ServingRefused)
	testtool.BootCode(t, c, provoke(t, s)+"\n", *update)
}

// What the API server says against the approver itself is told too.
func TestAPIServerSaysNo(t *testing.T) {
	s := apiserver.NewStandIn(t, plan())
	for status, code := range map[int]int{401: bootcode.AddonsDenied, 500: bootcode.AddonsFailed} {
		s.No = func(method, _ string) (int, string, string, []map[string]string) {
			return status, http.StatusText(status), "", nil
		}
		want := fmt.Sprintf(" %d ", code)
		if got := provoke(t, s); !strings.Contains(got, want) {
			t.Errorf("%d: %s", status, got)
		}
	}
}
