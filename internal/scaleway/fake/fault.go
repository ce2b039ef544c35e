package fake

import (
	"bytes"
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
	Denied // for good: trying again does not help
)

// Faults lists every way in which a call can go wrong.
func Faults() map[string]Fault {
	return map[string]Fault{"429": TooMany, "409 transient_state": Transient, "500": Broken, "500 after the work": BrokenAfter,
		"hung up": HungUp, "hung up after the work": HungUpAfter, "half-written answer": HalfWritten}
}

// ServeHTTP counts calls, lets them go wrong, and serves the others.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
		a.mux.ServeHTTP(w, r)
	case TooMany:
		answer(w, http.StatusTooManyRequests, map[string]string{"type": "too_many_requests", "message": "rate limit"})
	case Transient:
		answer(w, http.StatusConflict, map[string]string{"type": "transient_state", "message": "the resource is in a transient state", "resource": "server", "resource_id": "", "current_state": "busy"})
	case Broken:
		answer(w, http.StatusInternalServerError, map[string]string{"type": "internal", "message": "internal error"})
	case BrokenAfter:
		a.mux.ServeHTTP(httptest.NewRecorder(), r)
		answer(w, http.StatusInternalServerError, map[string]string{"type": "internal", "message": "internal error"})
	case HungUpAfter:
		a.mux.ServeHTTP(httptest.NewRecorder(), r)
		hangUp(w, nil)
	case Denied:
		answer(w, http.StatusForbidden, map[string]any{"type": "permissions_denied", "message": "insufficient permissions", "details": []any{}})
	case HungUp:
		hangUp(w, nil)
	case HalfWritten:
		whole := httptest.NewRecorder()
		a.mux.ServeHTTP(whole, r)
		hangUp(w, whole)
	}
}

// hangUp ends the connection, after half of an answer if there is one.
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
	buf.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(data)+1) + "\r\n\r\n")
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
