package publicip

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A server without IPv4 learns who it is all the same, and of what keeps it from that,
// the first cause is told.
func TestWhoAmI(t *testing.T) {
	asked := 0
	service := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; r.URL.RequestURI() != "/conf?format=json" {
				t.Errorf("asked for %s", r.URL)
			}
			w.WriteHeader(status)
			w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	good, empty := service(http.StatusOK, `{"id": "one"}`), service(http.StatusNotFound, `{}`)
	for _, tc := range []struct {
		name  string
		urls  []string
		asked int
		says  string
	}{
		{"the first answers", []string{good, empty}, 1, ""},
		{"the first is not there", []string{gone.URL, good}, 1, ""},
		{"the first knows nothing", []string{empty, good}, 2, ""},
		{"nobody", []string{gone.URL, empty}, 1, "does not tell which server this is: connect: connection refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			asked = 0
			p := &provider{metadata: tc.urls}
			err := p.whoAmI(t.Context())
			if tc.says == "" {
				if err == nil {
					err = p.whoAmI(t.Context()) // once known, nobody is asked again
				}
				if err != nil || p.self != "one" {
					t.Errorf("%q, %v", p.self, err)
				}
			} else if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v", err)
			}
			if asked != tc.asked {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}
