package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxReply bounds what is read of any answer: a member list of a hundred members
// is a tenth of it.
const maxReply = 1 << 20

// client speaks etcd's API as JSON over its gRPC gateway.
type client struct {
	http    *http.Client
	timeout time.Duration
}

// refusal is an answer of etcd that says no.
type refusal struct {
	Message string `json:"message"`
	Code    int    `json:"code"`
}

func (r *refusal) Error() string { return r.Message }

// refused tells whether etcd itself said no, with these words. Its codes are too
// coarse: a learner that is behind and one too many are both a failed precondition.
func refused(err error, words string) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && strings.Contains(r.Message, words)
}

// call posts a request to the member whose client URL is base.
func (c client) call(ctx context.Context, base, method string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v3/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask etcd for %s: %w", method, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return fmt.Errorf("ask etcd at %s for %s: %w", base, method, err)
	}
	if resp.StatusCode != http.StatusOK {
		r := &refusal{}
		if json.Unmarshal(data, r) != nil || r.Message == "" {
			r.Message = resp.Status
		}
		return fmt.Errorf("ask etcd at %s for %s: %w", base, method, r)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("read etcd's answer from %s to %s: %w", base, method, err)
	}
	return nil
}

// header comes with every answer.
type header struct {
	Cluster ID `json:"cluster_id"`
	Member  ID `json:"member_id"`
}

type wireMember struct {
	ID         ID       `json:"ID"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	Learner    bool     `json:"isLearner"`
}

// status is what one member says of itself; it needs no quorum.
type status struct {
	Header  header `json:"header"`
	Version string `json:"version"`
	Learner bool   `json:"isLearner"`
}

// minor is the 6 of 3.6.8, and 0 of what is no such version.
func (s status) minor() int {
	_, rest, _ := strings.Cut(s.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	if err != nil {
		return 0
	}
	return n
}

func (c client) status(ctx context.Context, base string) (s status, err error) {
	err = c.call(ctx, base, "maintenance/status", struct{}{}, &s)
	return s, err
}

// members lists the members, sorted by id; linearizable lists are confirmed by a
// quorum, or fail.
func (c client) members(ctx context.Context, base string, linearizable bool) (cluster ID, list []Entry, err error) {
	var out struct {
		Header  header       `json:"header"`
		Members []wireMember `json:"members"`
	}
	in := struct {
		Linearizable bool `json:"linearizable"`
	}{linearizable}
	if err := c.call(ctx, base, "cluster/member/list", in, &out); err != nil {
		return 0, nil, err
	}
	for _, m := range out.Members {
		list = append(list, Entry{ID: m.ID, Name: m.Name, URLs: m.PeerURLs, Learner: m.Learner, Started: len(m.ClientURLs) > 0})
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	return out.Header.Cluster, list, nil
}

// addLearner adds a member without a vote and returns its id.
func (c client) addLearner(ctx context.Context, base, peerURL string) (ID, error) {
	in := struct {
		PeerURLs []string `json:"peerURLs"`
		Learner  bool     `json:"isLearner"`
	}{[]string{peerURL}, true}
	var out struct {
		Member wireMember `json:"member"`
	}
	if err := c.call(ctx, base, "cluster/member/add", in, &out); err != nil {
		return 0, err
	}
	if out.Member.ID == 0 {
		return 0, fmt.Errorf("etcd at %s added a member and did not say which", base)
	}
	return out.Member.ID, nil
}

type byID struct {
	ID ID `json:"ID"`
}

// remove takes a member out. That it is gone already is what was wanted.
func (c client) remove(ctx context.Context, base string, id ID) error {
	err := c.call(ctx, base, "cluster/member/remove", byID{id}, &struct{}{})
	if refused(err, "member not found") {
		return nil
	}
	return err
}

// errBehind is a learner's that has not copied enough yet.
var errBehind = errors.New("the learner is not in sync with the leader yet")

// promote gives a learner its vote. That it has one already is what was wanted.
func (c client) promote(ctx context.Context, base string, id ID) error {
	err := c.call(ctx, base, "cluster/member/promote", byID{id}, &struct{}{})
	switch {
	case refused(err, "only promote a learner member which is in sync"):
		return errBehind
	case refused(err, "can only promote a learner member"):
		return nil
	}
	return err
}
