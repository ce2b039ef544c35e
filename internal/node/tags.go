package node

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/step"
)

// tagName is what a server is tagged with at its provider: imgforge.node=NAME.
const tagName = nodeArgument

const (
	// metadataTimeout bounds one question: the network may not be up yet, and the
	// host name may come meanwhile.
	metadataTimeout = 2 * time.Second
	maxMetadata     = 1 << 20 // bytes
)

// metadata is the provider's metadata service, as far as it knows a server's tags.
type metadata struct {
	provider string
	urls     []string // of the service, asked in this order until one answers
}

// metadataOf tells where a provider says how a server is tagged. All others are
// asked nothing:
//
//   - Hetzner's and Exoscale's services know the server's name, addresses and keys,
//     but not its labels; the name is the host name already.
//   - A config drive of OpenStack holds the same as its service, but nothing has
//     mounted it at this time of the boot, and mounting is not the helper's business.
//   - Proxmox, libvirt and metal have no service: there is the kernel argument.
func metadataOf(provider string) (metadata, bool) {
	switch provider {
	case "scaleway":
		return metadata{provider, []string{"http://169.254.42.42", "http://[fd00:42::42]"}}, true
	case "ec2":
		return metadata{provider, []string{"http://169.254.169.254", "http://[fd00:ec2::254]"}}, true
	case "openstack":
		return metadata{provider, []string{"http://169.254.169.254"}}, true
	}
	return metadata{}, false
}

// provider is where the plan says that this machine runs; "" when the payload does not tell.
func (h host) provider() string {
	c, err := artifact.ReadClusterFile(h.root)
	if err != nil {
		return "" // who needs the file will say so
	}
	return c.Provider
}

// hints asks for the tags that name a node. Somebody has put them there, so they
// are told. None is an answer too; an error means that nobody answered.
func (m metadata) hints(ctx context.Context) ([]hint, error) {
	names, err := m.tags(ctx)
	if err != nil {
		return nil, fmt.Errorf("the metadata service of %s tells no tags: %w", m.provider, err)
	}
	var out []hint
	for _, name := range names {
		name = strings.ToLower(strings.TrimSpace(name))
		if !word(name, "-.") {
			name = strconv.Quote(name[:min(len(name), 64)]) // it goes to a console
		}
		out = append(out, hint{"tag " + tagName + "=", name, true})
	}
	return out, nil
}

// tags are the node names in the server's tags.
func (m metadata) tags(ctx context.Context) (names []string, err error) {
	// No proxy: the service knows who asks by where the question comes from.
	client := &http.Client{Timeout: metadataTimeout, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	var errs []error
	for _, url := range m.urls {
		switch m.provider {
		case "scaleway":
			names, err = scalewayTags(ctx, client, url)
		case "ec2":
			names, err = ec2Tags(ctx, client, url)
		case "openstack":
			names, err = openstackTags(ctx, client, url)
		}
		if err == nil {
			return names, nil
		}
		errs = append(errs, step.Cause(err, metadataTimeout))
	}
	if len(errs) > 0 {
		return nil, errs[0] // the others are other ways to the same
	}
	return nil, nil
}

// scalewayTags reads the server's tags, which are words: ours are imgforge.node=NAME
// and, as some tools write them, imgforge:node=NAME.
func scalewayTags(ctx context.Context, client *http.Client, url string) ([]string, error) {
	var conf struct {
		Tags []string `json:"tags"`
	}
	if err := getJSON(ctx, client, url+"/conf?format=json", &conf); err != nil {
		return nil, err
	}
	var out []string
	for _, tag := range conf.Tags {
		for _, prefix := range []string{tagName + "=", strings.ReplaceAll(tagName, ".", ":") + "="} {
			if name, ok := strings.CutPrefix(tag, prefix); ok {
				out = append(out, name)
			}
		}
	}
	return out, nil
}

// ec2Tags reads one tag of the instance. IMDSv2 wants a token first; without tags
// in the instance's metadata, or without this one, it answers 404.
func ec2Tags(ctx context.Context, client *http.Client, url string) ([]string, error) {
	token, status, err := call(ctx, client, http.MethodPut, url+"/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", "60")
	if err != nil || status != http.StatusOK {
		return nil, refused("a token", status, err)
	}
	name, status, err := call(ctx, client, http.MethodGet, url+"/latest/meta-data/tags/instance/"+tagName, "X-aws-ec2-metadata-token", string(token))
	switch {
	case err == nil && status == http.StatusNotFound:
		return nil, nil
	case err != nil || status != http.StatusOK:
		return nil, refused("the tag", status, err)
	}
	return []string{string(name)}, nil
}

// openstackTags reads the server's metadata (`openstack server set --property`).
func openstackTags(ctx context.Context, client *http.Client, url string) ([]string, error) {
	var data struct {
		Meta map[string]string `json:"meta"`
	}
	if err := getJSON(ctx, client, url+"/openstack/latest/meta_data.json", &data); err != nil {
		return nil, err
	}
	if name, ok := data.Meta[tagName]; ok {
		return []string{name}, nil
	}
	return nil, nil
}

func getJSON(ctx context.Context, client *http.Client, url string, into any) error {
	data, status, err := call(ctx, client, http.MethodGet, url, "Accept", "application/json")
	if err != nil || status != http.StatusOK {
		return refused("the metadata", status, err)
	}
	if !json.Valid(data) { // a proxy's page or half an answer, which is not for a console
		return fmt.Errorf("it answers something that is no JSON, with status %d", status)
	}
	return json.Unmarshal(data, into)
}

func refused(what string, status int, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("it answers %d when asked for %s", status, what)
}

func call(ctx context.Context, client *http.Client, method, url, header, value string) (body []byte, status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set(header, value)
	resp, err := client.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxMetadata))
	return body, resp.StatusCode, err
}
