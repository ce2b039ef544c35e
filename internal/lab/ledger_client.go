package lab

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Pace of the clients: light beside what a cluster does by itself.
const (
	paceWrite = 300 * time.Millisecond
	paceRead  = 200 * time.Millisecond
	// patience is how long a client waits for an answer before it asks anew, over
	// another connection; patienceFar is that of one whose way to the API is long: five
	// times to and fro, for TCP and TLS through a proxy, come before a first answer.
	patience    = time.Second
	patienceFar = 5 * time.Second
)

// client is somebody who writes or reads through the API.
type client struct {
	ledger *ledger
	name   string // of its keys: unique among the writers
	what   string // under what its successes are noted
	// server and dial are asked before every connection: a client whose machine is taken
	// away goes on from another one.
	server string
	dial   func(context.Context, string, string) (net.Conn, error)
	tls    *tls.Config
	http   *http.Client
	stood  int // see ledger.stands
}

// connect begins with new connections only.
func (c *client) connect() {
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
	c.http = &http.Client{Transport: &http.Transport{DialContext: c.dial, TLSClientConfig: c.tls.Clone(),
		MaxIdleConnsPerHost: 1, TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}} // HTTP/1.1: a late answer holds up no other
}

// ask sends one request; an answer is a whole one.
func (c *client) ask(ctx context.Context, method, path string, body []byte) (status int, answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.ledger.patience())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if stands := c.ledger.stands(); c.http == nil || stands != c.stood {
		c.stood = stands
		c.connect()
	}
	reply, err := c.http.Do(request)
	if err == nil {
		answer, err = io.ReadAll(io.LimitReader(reply.Body, 32<<20))
		reply.Body.Close()
	}
	if err != nil {
		c.connect()
		return 0, nil, err
	}
	return reply.StatusCode, answer, nil
}

// configMap is the object of a key.
type configMap struct {
	APIVersion string            `json:"apiVersion,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	Metadata   objectMeta        `json:"metadata"`
	Data       map[string]string `json:"data"`
}

type objectMeta struct {
	Name            string `json:"name"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
}

func (l *ledger) path() string { return "/api/v1/namespaces/" + l.namespace + "/configmaps" }

// write writes numbered keys, one after the other, until ctx ends.
func (c *client) write(ctx context.Context) {
	for number := 1; ctx.Err() == nil; number++ {
		e := entry{name: fmt.Sprintf("%s-%06d", c.name, number)}
		for ctx.Err() == nil {
			e.attempts++
			if c.attempt(ctx, &e) {
				c.ledger.acknowledge(e)
				c.ledger.success(c.what, e.at)
				break
			}
			rest(ctx, paceWrite)
		}
		rest(ctx, paceWrite)
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// attempt sends a key once and tells whether it is acknowledged.
func (c *client) attempt(ctx context.Context, e *entry) bool {
	again := c.ledger.sending(e.name)
	body, err := json.Marshal(configMap{APIVersion: "v1", Kind: "ConfigMap", Metadata: objectMeta{Name: e.name}, Data: map[string]string{"value": c.ledger.value(e.name)}})
	if err != nil {
		c.ledger.violation(err)
		return false
	}
	status, answer, err := c.ask(ctx, http.MethodPost, c.ledger.path(), body)
	switch {
	case err != nil:
		return false
	case status == http.StatusCreated:
		return c.accept(e, answer, "201 to the creation of")
	case status == http.StatusConflict && !again:
		c.ledger.violation(fmt.Errorf("409 to the first creation of %s: %.200s", e.name, answer))
	case status == http.StatusConflict:
		// An earlier attempt arrived. Without a resource version this read is etcd's own.
		status, answer, err := c.ask(ctx, http.MethodGet, c.ledger.path()+"/"+e.name, nil)
		if err == nil && status == http.StatusOK {
			return c.accept(e, answer, "200 to the reading of")
		}
		if err == nil && status == http.StatusNotFound {
			c.ledger.violation(fmt.Errorf("409 to the creation of %s, then 404 to its reading", e.name))
		}
	}
	return false
}

// accept takes an answer that shows the very object.
func (c *client) accept(e *entry, answer []byte, what string) bool {
	e.at = time.Now()
	revision, err := c.shows(e.name, answer)
	if err != nil {
		c.ledger.violation(fmt.Errorf("%s %s: %w", what, e.name, err))
		return false
	}
	e.revision = revision
	return true
}

// shows is the revision of the object in an answer, which must be that of a name.
func (c *client) shows(name string, answer []byte) (int64, error) {
	var got configMap
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, err
	}
	if got.Metadata.Name != name || len(got.Data) != 1 || got.Data["value"] != c.ledger.value(name) {
		return 0, fmt.Errorf("it is another object: %.200s", answer)
	}
	revision, err := strconv.ParseInt(got.Metadata.ResourceVersion, 10, 64)
	if err == nil && revision <= 0 {
		err = errors.New("it has no resource version")
	}
	return revision, err
}

// read reads the key that was acknowledged last, again and again: it must be there.
func (c *client) read(ctx context.Context) {
	for ; ctx.Err() == nil; rest(ctx, paceRead) {
		e, ok := c.ledger.latest()
		if !ok {
			continue
		}
		status, answer, err := c.ask(ctx, http.MethodGet, c.ledger.path()+"/"+e.name, nil)
		if err != nil {
			continue
		}
		at := time.Now()
		switch status {
		case http.StatusOK:
			revision, err := c.shows(e.name, answer)
			if err == nil && revision != e.revision {
				err = fmt.Errorf("it is of revision %d, acknowledged was %d", revision, e.revision)
			}
			if err != nil {
				c.ledger.violation(fmt.Errorf("a read of %s: %w", e.name, err))
				continue
			}
			c.ledger.success(c.what, at)
		case http.StatusNotFound:
			if c.ledger.still(e) {
				c.ledger.violation(fmt.Errorf("a read of %s, acknowledged %s before: 404", e.name, at.Sub(e.at).Round(time.Millisecond)))
			}
		}
	}
}

// still tells whether a write has to be there: it was not undone by a restore.
func (l *ledger) still(e entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.snapshot.IsZero() || e.at.Before(l.snapshot) || e.at.After(l.restart())
}
