package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Selection narrows a list or a watch.
type Selection struct {
	Fields string // a field selector
	// Bare asks for the objects' metadata alone: a Node says a lot.
	Bare bool
}

func (s Selection) narrow(r *request, list bool) {
	r.query = url.Values{}
	if s.Fields != "" {
		r.query.Set("fieldSelector", s.Fields)
	}
	if s.Bare {
		as := "PartialObjectMetadata"
		if list {
			as += "List"
		}
		r.accept = "application/json;as=" + as + ";v=v1;g=meta.k8s.io"
	}
}

// List calls each with every object, page by page, and returns the version of the
// list, from which a watch goes on.
func (c *Client) List(ctx context.Context, ref Ref, s Selection, each func(object json.RawMessage) error) (version string, err error) {
	r, err := ref.request("list", http.MethodGet)
	if err != nil {
		return "", err
	}
	s.narrow(&r, true)
	for size := pageSize; ; {
		r.query.Set("limit", strconv.Itoa(size))
		var page struct {
			Metadata struct {
				ResourceVersion string `json:"resourceVersion"`
				Continue        string `json:"continue"`
			} `json:"metadata"`
			Items []json.RawMessage `json:"items"`
		}
		err := c.call(ctx, r, &page)
		if errors.Is(err, errLong) && size > 1 { // whoever makes large objects holds nobody up
			size = max(1, size/4)
			continue
		}
		if err != nil {
			return "", err
		}
		for _, object := range page.Items {
			if err := each(object); err != nil {
				return "", err
			}
		}
		if page.Metadata.Continue == "" {
			return page.Metadata.ResourceVersion, nil
		}
		r.query.Set("continue", page.Metadata.Continue)
	}
}

// ErrStale says that a watch cannot go on from its version: list again.
var ErrStale = errors.New("the API server no longer knows that version")

// Watch calls each with what happens to objects after a version, until the API
// server ends the watch after some minutes, which is no error, or ctx ends.
func (c *Client) Watch(ctx context.Context, ref Ref, s Selection, version string, each func(event string, object json.RawMessage) error) error {
	r, err := ref.request("watch", http.MethodGet)
	if err != nil {
		return err
	}
	s.narrow(&r, false)
	r.query.Set("watch", "true")
	r.query.Set("resourceVersion", version)
	r.query.Set("timeoutSeconds", strconv.Itoa(int(watchTime/time.Second)))
	// The server ends it; this only ends what no longer hears the server.
	ctx, cancel := context.WithTimeout(ctx, watchTime+time.Minute)
	defer cancel()
	body, err := c.send(ctx, r)
	if err != nil {
		if Refused(err).is(http.StatusGone) {
			return ErrStale
		}
		return err
	}
	defer body.Close()
	for d := json.NewDecoder(body); ; {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		switch err := d.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", r.what, err)
		case e.Type == "ERROR":
			return ErrStale
		}
		if err := each(e.Type, e.Object); err != nil {
			return err
		}
	}
}

// watchTime is how long one watch lasts.
const watchTime = 5 * time.Minute
