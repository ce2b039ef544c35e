package publicip

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/scaleway/scaleway-sdk-go/api/instance/v1"
	"github.com/scaleway/scaleway-sdk-go/logger"
	"github.com/scaleway/scaleway-sdk-go/scw"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/step"
)

const (
	// callTimeout bounds one call: who is master may be another one by then.
	callTimeout = 10 * time.Second
	// metadataTimeout bounds one question to the metadata service, which is near.
	metadataTimeout = 5 * time.Second
	maxMetadata     = 1 << 20 // bytes
	// nodeTag is the server's tag that names its node.
	nodeTag = "imgforge.node="
)

// metadataURLs are where every server there is told who it is, asked in this order until
// one answers: a server may have no IPv4.
func metadataURLs() []string { return []string{"http://169.254.42.42", "http://[fd00:42::42]"} }

// provider is the one API that the address is moved with.
type provider struct {
	api     *instance.API
	http    *http.Client
	zone    scw.Zone
	address string
	self    string // ID of this server, once known
	// metadata are the URLs that tell it.
	metadata []string
}

// holder is the server that has the address; the zero value: none.
type holder struct{ id, name string }

// refusal is an answer that stays the same until somebody changes something.
type refusal struct{ text string }

func (e *refusal) Error() string { return e.text }

// keyed adds the key to every request. The SDK's own way wants the public half too.
type keyed struct{ key string }

// RoundTrip is that of http.RoundTripper.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Auth-Token", k.key)
	return http.DefaultTransport.RoundTrip(r)
}

// silent swallows what the SDK logs, which with SCW_DEBUG is every request.
type silent struct{}

func (silent) Debugf(string, ...any)          {}
func (silent) Infof(string, ...any)           {}
func (silent) Warningf(string, ...any)        {}
func (silent) Errorf(string, ...any)          {}
func (silent) ShouldLog(logger.LogLevel) bool { return false }

// newProvider talks to the API at url, the provider's own when that is empty.
func newProvider(f artifact.PublicIPFile, url string) (*provider, error) {
	logger.SetLogger(silent{})
	zone, err := scw.ParseZone(f.Zone)
	if err != nil {
		return nil, err
	}
	patient := &http.Client{Timeout: callTimeout, Transport: keyed{strings.TrimSpace(f.Key)},
		// The key is for the API alone, wherever an answer points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	options := []scw.ClientOption{scw.WithoutAuth(), scw.WithDefaultZone(zone), scw.WithUserAgent("imgforge-node"), scw.WithHTTPClient(patient)}
	if url != "" {
		options = append(options, scw.WithAPIURL(url))
	}
	client, err := scw.NewClient(options...)
	if err != nil {
		return nil, err
	}
	return &provider{api: instance.NewAPI(client), http: patient, zone: zone, address: f.Address, metadata: metadataURLs()}, nil
}

// whoAmI asks, once, which server this is.
func (p *provider) whoAmI(ctx context.Context) error {
	if p.self != "" {
		return nil
	}
	var first error
	for _, url := range p.metadata {
		id, err := selfAt(ctx, url)
		if err == nil {
			p.self = id
			return nil
		}
		if first == nil {
			first = err // the others are other ways to the same
		}
	}
	return fmt.Errorf("the metadata service does not tell which server this is: %w", first)
}

// selfAt asks one address of the metadata service for the ID of this server.
func selfAt(ctx context.Context, url string) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/conf?format=json", nil)
	if err != nil {
		return "", err
	}
	// No proxy: the service knows who asks by where the question comes from.
	client := &http.Client{Timeout: metadataTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", step.Cause(err, metadataTimeout)
	}
	defer resp.Body.Close()
	var conf struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxMetadata)).Decode(&conf); err != nil || conf.ID == "" {
		return "", fmt.Errorf("it answers %d", resp.StatusCode)
	}
	return conf.ID, nil
}

// holder is the server that has the address, by its node's name.
func (p *provider) holder(ctx context.Context) (holder, error) {
	res, err := p.api.GetIP(&instance.GetIPRequest{Zone: p.zone, IP: p.address}, scw.WithContext(ctx))
	if err != nil {
		return holder{}, judged("look at "+p.address, err)
	}
	if res.IP == nil || res.IP.Server == nil {
		return holder{}, nil
	}
	h := holder{res.IP.Server.ID, res.IP.Server.Name}
	if h.id == p.self {
		return h, nil
	}
	s, err := p.api.GetServer(&instance.GetServerRequest{Zone: p.zone, ServerID: h.id}, scw.WithContext(ctx))
	if err != nil || s.Server == nil {
		return h, nil // its name has to do
	}
	for _, tag := range s.Server.Tags {
		if name, ok := strings.CutPrefix(tag, nodeTag); ok {
			h.name = name
		}
	}
	return h, nil
}

// attach moves the address to this server from wherever it is.
func (p *provider) attach(ctx context.Context) error {
	return p.update(ctx, "attach "+p.address, &instance.NullableStringValue{Value: p.self})
}

func (p *provider) detach(ctx context.Context) error {
	return p.update(ctx, "detach "+p.address, &instance.NullableStringValue{Null: true})
}

func (p *provider) update(ctx context.Context, what string, server *instance.NullableStringValue) error {
	_, err := p.api.UpdateIP(&instance.UpdateIPRequest{Zone: p.zone, IP: p.address, Server: server}, scw.WithContext(ctx))
	if err != nil {
		return judged(what, err)
	}
	return nil
}

// judged tells answers that stay the same from what passes.
func judged(what string, err error) error {
	final := ""
	for _, is := range []struct {
		yes  bool
		text string
	}{
		{has[*scw.DeniedAuthenticationError](err), "the API does not know the key"},
		{has[*scw.PermissionsDeniedError](err), "the key may not do that"},
		{has[*scw.ResourceNotFoundError](err), "the API knows no such address, or no such server, in this zone"},
	} {
		if is.yes {
			final = is.text
		}
	}
	if r, ok := errors.AsType[*scw.ResponseError](err); ok && final == "" {
		switch r.StatusCode {
		case http.StatusUnauthorized:
			final = "the API does not know the key"
		case http.StatusForbidden:
			final = "the key may not do that"
		case http.StatusNotFound:
			final = "the API knows no such address, or no such server, in this zone"
		default:
			return fmt.Errorf("%s: the API answers %d", what, r.StatusCode)
		}
	}
	if final != "" {
		return &refusal{what + ": " + final}
	}
	return fmt.Errorf("%s: %w", what, step.Cause(err, callTimeout))
}

func has[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}
