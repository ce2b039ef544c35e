package fake

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
)

// Fault is how one call goes wrong.
type Fault int

// The faults. After means that the work was done and the answer lost.
const (
	None Fault = iota
	TooMany
	Transient
	Broken
	BrokenAfter
	HungUp
	HungUpAfter
	HalfWritten
	Silent      // taken, and never answered
	SilentAfter // done, and never answered
	Denied      // for good: trying again does not help
)

// Silent tells whether nobody answers.
func (f Fault) Silent() bool { return f == Silent || f == SilentAfter }

// Faults lists every way in which a call can go wrong. Those that are silent last until
// the caller's own deadline: it should be a short one.
func Faults() map[string]Fault {
	return map[string]Fault{"429": TooMany, "409 transient_state": Transient, "500": Broken, "500 after the work": BrokenAfter,
		"hung up": HungUp, "hung up after the work": HungUpAfter, "half-written answer": HalfWritten,
		"time-out": Silent, "time-out after the work": SilentAfter}
}

// form is how a kind of API says that something went wrong.
type form func(w http.ResponseWriter, status int, kind, text string)

func inJSON(w http.ResponseWriter, status int, kind, text string) {
	answer(w, status, map[string]any{"type": kind, "message": text, "details": []any{}, "resource": "server", "resource_id": "", "current_state": "busy"})
}

// ServeHTTP counts calls, lets them go wrong, and serves the others.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.serve(w, r, a.mux, inJSON)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, next http.Handler, wrong form) {
	w.Header().Set(Header, "this is not Scaleway")
	fault := None
	if r.URL.Path != "/metadata" {
		a.mu.Lock()
		a.calls++
		n := a.calls
		a.mu.Unlock()
		if a.Fault != nil {
			fault = a.Fault(n, r)
		}
	}
	switch fault {
	case None:
		next.ServeHTTP(w, r)
	case TooMany:
		wrong(w, http.StatusTooManyRequests, "too_many_requests", "rate limit")
	case Transient:
		wrong(w, http.StatusConflict, "transient_state", "the resource is in a transient state")
	case Broken:
		wrong(w, http.StatusInternalServerError, "internal", "internal error")
	case BrokenAfter:
		next.ServeHTTP(httptest.NewRecorder(), r)
		wrong(w, http.StatusInternalServerError, "internal", "internal error")
	case HungUpAfter:
		next.ServeHTTP(httptest.NewRecorder(), r)
		hangUp(w, nil)
	case Silent:
		hush(r)
	case SilentAfter:
		next.ServeHTTP(httptest.NewRecorder(), r)
		hush(r)
	case Denied:
		wrong(w, http.StatusForbidden, "permissions_denied", "insufficient permissions")
	case HungUp:
		hangUp(w, nil)
	case HalfWritten:
		whole := httptest.NewRecorder()
		next.ServeHTTP(whole, r)
		hangUp(w, whole)
	}
}

// hush takes all that the caller has to say and answers nothing until he is gone: only
// who has been read to the end is seen leaving.
func hush(r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// hangUp ends the connection, after half of an answer if there is one: of its body, or
// of its first line when it has none.
func hangUp(w http.ResponseWriter, whole *httptest.ResponseRecorder) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	if whole == nil {
		return
	}
	data := bytes.TrimSpace(whole.Body.Bytes())
	if len(data) == 0 {
		buf.WriteString("HTTP/1.1 20")
		buf.Flush()
		return
	}
	buf.WriteString("HTTP/1.1 200 OK\r\nContent-Type: " + whole.Header().Get("Content-Type") + "\r\nContent-Length: " + strconv.Itoa(len(data)+1) + "\r\n\r\n")
	buf.Write(data[:len(data)/2])
	buf.Flush()
}

// Calls is how many calls were made.
func (a *API) Calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

// Mistakes are what the real API would have let happen and nobody wants, such as a
// first boot without user-data.
func (a *API) Mistakes() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string{}, a.mistakes...)
}
