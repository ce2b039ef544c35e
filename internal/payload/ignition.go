package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	ignitionerrors "github.com/coreos/ignition/v2/config/shared/errors"
	"github.com/coreos/ignition/v2/config/v3_5"
	"github.com/coreos/ignition/v2/config/v3_5/types"
)

// newestSpec is the newest spec that every Ignition in use reads.
const newestSpec = "3.5.0"

// maxNesting bounds config.replace and config.merge inside one another.
const maxNesting = 4

// plainProxy is what Ignition warns of where https goes through a proxy that is spoken
// to in the clear, as nearly all are: the tunnel through it is not.
func plainProxy() string { return ignitionerrors.ErrInsecureProxy.Error() }

// parseIgnition reads Ignition JSON of spec 3.0.0 to 3.5.0 and lets no finding
// of Ignition's own validator pass, warnings included, but the one of [plainProxy].
func parseIgnition(raw []byte) (types.Config, error) {
	c, r, err := v3_5.ParseCompatibleVersion(raw)
	var lines []string
	for _, e := range r.Entries {
		if e.Message != plainProxy() {
			lines = append(lines, strings.TrimPrefix(e.Context.String(), "$.")+": "+e.Message)
		}
	}
	if len(lines) > 0 {
		return types.Config{}, errors.New(strings.Join(lines, "\n"))
	}
	if err != nil {
		return types.Config{}, fmt.Errorf("parse ignition config: %w", err)
	}
	return c, nil
}

// marshalIgnition is the compact JSON of a config for an older spec than the
// types' own. encoding/json keeps empty structs, so they are taken out.
func marshalIgnition(c types.Config, version string) ([]byte, error) {
	c.Ignition.Version = version
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(prune(tree)); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// prune drops the empty objects inside v.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, child := range v {
			child = prune(child)
			if m, isMap := child.(map[string]any); isMap && len(m) == 0 {
				delete(v, k)
				continue
			}
			v[k] = child
		}
	case []any:
		for i := range v {
			v[i] = prune(v[i])
		}
	}
	return v
}

// versionOf is the spec version that a config declares.
func versionOf(raw []byte) (string, error) {
	var head struct {
		Ignition struct {
			Version string `json:"version"`
		} `json:"ignition"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return "", fmt.Errorf("not an ignition config: %w", err)
	}
	return head.Ignition.Version, nil
}

// expand follows config.replace and config.merge as Ignition does, as far as
// they are carried in data URLs, and returns the one config that results.
func expand(raw []byte) (types.Config, error) { return expandTo(raw, maxNesting) }

func expandTo(raw []byte, depth int) (types.Config, error) {
	if depth == 0 {
		return types.Config{}, fmt.Errorf("configs are nested more than %d deep", maxNesting)
	}
	c, err := parseIgnition(raw)
	if err != nil {
		return types.Config{}, err
	}
	refs := c.Ignition.Config
	c.Ignition.Config = types.IgnitionConfig{}
	if refs.Replace.Source != nil {
		return nested(refs.Replace, "ignition.config.replace", depth)
	}
	for i, ref := range refs.Merge {
		child, err := nested(ref, fmt.Sprintf("ignition.config.merge[%d]", i), depth)
		if err != nil {
			return types.Config{}, err
		}
		c = v3_5.Merge(c, child)
	}
	return c, nil
}

func nested(ref types.Resource, path string, depth int) (types.Config, error) {
	raw, err := decodeResource(ref)
	if err != nil {
		return types.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	c, err := expandTo(raw, depth-1)
	if err != nil {
		return types.Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}
