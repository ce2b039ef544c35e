package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Refusal is an answer of the API server that says no.
type Refusal struct {
	What    string // verb and object
	Status  int    // of HTTP
	Reason  string // Conflict, NotFound, Forbidden...
	Message string // empty where it could quote a Secret
	Causes  []Cause
}

// Cause is one field that the API server minds.
type Cause struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Field   string `json:"field"`
}

// CauseConflict is the reason of a cause that is a field of another manager.
const CauseConflict = "FieldManagerConflict"

// Error is one line.
func (r *Refusal) Error() string {
	text := fmt.Sprintf("%s: the API server says %d %s", r.What, r.Status, r.Reason)
	if r.Message != "" {
		text += ": " + strings.Join(strings.Fields(r.Message), " ")
	}
	return strings.Map(printable, text)
}

// printable keeps what others wrote from steering a console.
func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return '?'
}

// Refused returns the refusal inside an error, and nil where the API server did
// not answer at all.
func Refused(err error) *Refusal {
	r, _ := errors.AsType[*Refusal](err)
	return r
}

// Silent tells whether the API server did not answer, or not to the end.
func Silent(err error) bool {
	_, request := errors.AsType[*url.Error](err)
	_, answer := errors.AsType[*net.OpError](err)
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, io.ErrUnexpectedEOF)
	return Refused(err) == nil && !Strange(err) && (request || answer || late)
}

// Missing tells whether the object does not exist.
func Missing(err error) bool { return Refused(err).is(http.StatusNotFound) }

// Changed tells whether the object was made or changed by somebody else first.
func Changed(err error) bool { return Refused(err).is(http.StatusConflict) }

// Unwelcome tells whether the API server does not know who asks.
func Unwelcome(err error) bool { return Refused(err).is(http.StatusUnauthorized) }

func (r *Refusal) is(status int) bool { return r != nil && r.Status == status }

// refusal reads the API server's Status. What it says of a Secret may quote it, so
// that is left out.
func refusal(what string, status int, body []byte, secret bool) error {
	var s struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
		Details struct {
			Causes []Cause `json:"causes"`
		} `json:"details"`
	}
	if json.Unmarshal(body, &s) != nil || s.Reason == "" {
		s.Reason = http.StatusText(status)
	}
	r := &Refusal{What: what, Status: status, Reason: s.Reason, Message: s.Message, Causes: s.Details.Causes}
	if secret {
		r.Message = ""
		for i := range r.Causes {
			if r.Causes[i].Reason != CauseConflict { // which names the manager, not the value
				r.Causes[i].Message = ""
			}
		}
	}
	return r
}
