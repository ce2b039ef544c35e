// Package api is a small client of the node's own API server: what masters need to
// apply, label and approve, on net/http alone. It knows a fixed set of kinds, keeps
// no objects, and never shows what a Secret holds.
package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout = 2 * time.Second
	callTimeout = 15 * time.Second // of one request, watches apart
	maxReply    = 16 << 20         // bytes read of any answer
	pageSize    = 100              // objects in one answer to a list
)

// Client speaks to the API server of this node.
type Client struct {
	// Warned, when set, is told each warning that the API server sends along.
	Warned func(what, text string)

	root string
	base string
	// kubelet tells that the leaf is the kubelet's.
	kubelet bool
	mu      sync.Mutex
	http    *http.Client
	made    stamps
}

// New reads where the API server of the node at root listens, whom to trust, and
// the leaf to show.
func New(root string) (*Client, error) {
	data, err := os.ReadFile(filepath.Join(root, "/etc/imgforge/node.json"))
	if err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	var me struct {
		Port int `json:"apiserverPort"`
	}
	if err := json.Unmarshal(data, &me); err != nil {
		return nil, fmt.Errorf("read who this node is: %w", err)
	}
	if me.Port == 0 {
		return nil, fmt.Errorf("this node has no API server")
	}
	c := &Client{root: root, base: fmt.Sprintf("https://127.0.0.1:%d", me.Port)}
	_, err = c.current()
	return c, err
}

// NewKubelet speaks to the cluster's endpoint as the kubelet of the node at root, which
// may read and annotate its own Node.
func NewKubelet(root string) (*Client, error) {
	data, err := os.ReadFile(filepath.Join(root, "/etc/imgforge/cluster.json"))
	if err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	var cluster struct {
		URL string `json:"endpointURL"`
	}
	if err := json.Unmarshal(data, &cluster); err != nil {
		return nil, fmt.Errorf("read what the cluster is: %w", err)
	}
	c := &Client{root: root, base: cluster.URL, kubelet: true}
	_, err = c.current()
	return c, err
}

// request is one call.
type request struct {
	what        string // verb and object, for people
	method      string
	path        string
	query       url.Values
	contentType string
	accept      string
	body        []byte
	secret      bool // an answer may quote a Secret
}

// send returns the answer's body, open, when it is a yes.
func (c *Client) send(ctx context.Context, r request) (io.ReadCloser, error) {
	client, err := c.current()
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = r.query.Encode()
	req.Header.Set("Accept", cmp.Or(r.accept, "application/json"))
	req.Header.Set("User-Agent", "imgforge-node")
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", cmp.Or(r.contentType, "application/json"))
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.what, err)
	}
	if c.Warned != nil {
		for _, text := range resp.Header.Values("Warning") {
			c.Warned(r.what, text)
		}
	}
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return nil, refusal(r.what, resp.StatusCode, body, r.secret)
}

// call sends and decodes the answer into out, unless that is nil.
func (c *Client) call(ctx context.Context, r request, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxReply+1)) // to its end, so that the connection can be used again
	if err != nil {
		return fmt.Errorf("%s: %w", r.what, err)
	}
	if len(data) > maxReply {
		return fmt.Errorf("%s: %w", r.what, errLong)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s: the API server's answer cannot be read: %w", r.what, strip(err, r.secret))
	}
	return nil
}

// errLong is an answer that is longer than this client reads.
var errLong = errors.New("the API server's answer is too long")

// strip drops what a decoder may quote.
func strip(err error, secret bool) error {
	if secret {
		return fmt.Errorf("%T", err)
	}
	return err
}

// Ready asks whether the API server is ready.
func (c *Client) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return c.call(ctx, request{what: "ask whether the API server is ready", method: http.MethodGet, path: "/readyz", accept: "*/*"}, nil)
}

func (r Ref) request(verb, method string) (request, error) {
	path, err := r.path()
	return request{what: strings.TrimSpace(verb + " " + r.String()), method: method, path: path, secret: r.Kind == "Secret"}, err
}

// Get reads one object.
func (c *Client) Get(ctx context.Context, ref Ref, out any) error {
	r, err := ref.request("get", http.MethodGet)
	if err != nil {
		return err
	}
	return c.call(ctx, r, out)
}

// Create makes an object that must not exist yet.
func (c *Client) Create(ctx context.Context, ref Ref, body []byte, out any) error {
	name := ref.Name
	ref.Name = ""
	r, err := ref.request("create", http.MethodPost)
	if err != nil {
		return err
	}
	ref.Name = name
	r.what, r.body = "create "+ref.String(), body
	r.query = url.Values{"fieldManager": {Manager}}
	return c.call(ctx, r, out)
}

// Update replaces an object, or with sub one of its subresources. The body's
// resourceVersion guards it: see [Changed].
func (c *Client) Update(ctx context.Context, ref Ref, sub string, body []byte, out any) error {
	r, err := ref.request("update", http.MethodPut)
	if err != nil {
		return err
	}
	if sub != "" {
		r.path += "/" + sub
		r.what += " (" + sub + ")"
	}
	r.body, r.query = body, url.Values{"fieldManager": {Manager}}
	return c.call(ctx, r, out)
}

// Manager is the name under which this project owns fields.
const Manager = "imgforge"

// Apply applies an object on the server's side. What another manager has set to
// another value is a conflict (see [Cause]) unless force takes it.
func (c *Client) Apply(ctx context.Context, ref Ref, body []byte, force bool, out any) error {
	r, err := ref.request("apply", http.MethodPatch)
	if err != nil {
		return err
	}
	r.contentType, r.body = "application/apply-patch+yaml", body // JSON is YAML
	r.query = url.Values{"fieldManager": {Manager}, "force": {fmt.Sprint(force)}}
	return c.call(ctx, r, out)
}

// Merge changes fields of an object, and takes away those that are null. A
// resourceVersion in the body guards it: see [Changed].
func (c *Client) Merge(ctx context.Context, ref Ref, body []byte, out any) error {
	r, err := ref.request("change", http.MethodPatch)
	if err != nil {
		return err
	}
	r.contentType, r.body, r.query = "application/merge-patch+json", body, url.Values{"fieldManager": {Manager}}
	return c.call(ctx, r, out)
}

// Evict asks for a Pod to go; the API server says 429 while a budget keeps it.
func (c *Client) Evict(ctx context.Context, ref Ref, body []byte) error {
	r, err := ref.request("evict", http.MethodPost)
	if err != nil {
		return err
	}
	r.path, r.body = r.path+"/eviction", body
	return c.call(ctx, r, nil)
}
