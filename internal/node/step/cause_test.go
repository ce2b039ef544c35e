package step

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// The same cause reads the same, from whatever port it was asked, and a time-out says
// how long somebody waited.
func TestCause(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	for range 2 {
		_, err := (&http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{}).DialContext}}).Get(gone.URL)
		if got := Cause(err, time.Second).Error(); got != "connect: connection refused" {
			t.Errorf("%q, made of %v", got, err)
		}
	}
	ctx, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, gone.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = http.DefaultClient.Do(req)
	if got := Cause(err, 2*time.Second).Error(); got != "no answer in 2s" {
		t.Errorf("%q, made of %v", got, err)
	}
	if Cause(nil, time.Second) != nil {
		t.Error("nothing has a cause")
	}
}
