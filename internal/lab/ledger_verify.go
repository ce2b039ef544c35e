package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// verdict is what a whole reading of the ledger found.
type verdict struct {
	lost []string
}

// boundVerify is how long a master may take to have what the others have.
const boundVerify = time.Minute

// verify reads every acknowledged write from the etcd of every master, once as that
// etcd has it and once as the cluster agrees, and through the API. An error says that
// it could not be read, that masters disagree about who they are, or that something
// is there which nobody sent.
func (r *ring) verify(ctx context.Context) (verdict, error) {
	var v verdict
	ctx, cancel := context.WithTimeout(ctx, 3*boundVerify)
	defer cancel()
	due, known := r.ledger.all()
	var errs []error
	look := func(where string, there map[string]stored, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("read the keys of %s: %w", where, err))
			return
		}
		lost, foreign := r.ledger.judge(where, due, known, there)
		v.lost = append(v.lost, lost...)
		if len(foreign) > 0 {
			errs = append(errs, fmt.Errorf("%.300s", strings.Join(foreign, "; ")))
		}
	}
	for _, n := range r.mastersOf() {
		for _, consistency := range []string{"l", "s"} {
			where := fmt.Sprintf("etcd of %s (%s)", n.Name, map[string]string{"l": "linearizable", "s": "its own"}[consistency])
			there, err := r.etcdKeys(ctx, n, consistency, due)
			look(where, there, err)
		}
	}
	there, err := r.apiKeys(ctx)
	look("the API", there, err)
	_, err = r.sameEtcd(ctx)
	return v, errors.Join(append(errs, err)...)
}

// etcdAnswer is what etcdctl prints as JSON.
type etcdAnswer struct {
	Header struct {
		Cluster  uint64 `json:"cluster_id"`
		Member   uint64 `json:"member_id"`
		Revision int64  `json:"revision"`
	} `json:"header"`
	Keys []struct {
		Key      []byte `json:"key"`
		Value    []byte `json:"value"`
		Revision int64  `json:"mod_revision"`
	} `json:"kvs"`
	Members []etcdMember `json:"members"`
}

type etcdMember struct {
	ID      uint64   `json:"ID"`
	Name    string   `json:"name"`
	Peers   []string `json:"peerURLs"`
	Learner bool     `json:"isLearner"`
}

// etcd asks a master's own member.
func (n *Node) etcd(ctx context.Context, args ...string) (a etcdAnswer, err error) {
	out, err := n.Run(ctx, append(etcdctl("--write-out=json"), args...)...)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal([]byte(out), &a)
}

// etcdKeys are the ledger's objects as a master's etcd has them. A member may be
// behind the others for a moment: it is given time to reach the newest write due.
func (r *ring) etcdKeys(ctx context.Context, n *Node, consistency string, due []entry) (map[string]stored, error) {
	newest := int64(0)
	for _, e := range due {
		newest = max(newest, e.revision)
	}
	prefix := "/registry/configmaps/" + r.ledger.namespace + "/"
	var a etcdAnswer
	bounded, cancel := context.WithTimeout(ctx, boundVerify)
	defer cancel()
	err := Await(bounded, "the newest write", func(ctx context.Context) (err error) {
		if a, err = n.etcd(ctx, "get", prefix, "--prefix", "--consistency="+consistency); err == nil && a.Header.Revision < newest {
			err = fmt.Errorf("its revision is %d, and %d was acknowledged", a.Header.Revision, newest)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	there := map[string]stored{}
	for _, k := range a.Keys {
		if name := strings.TrimPrefix(string(k.Key), prefix); name != rootCA {
			there[name] = stored{k.Revision, func(value string) bool { return bytes.Contains(k.Value, []byte(value)) }}
		}
	}
	return there, nil
}

// rootCA is a ConfigMap that the controller manager puts into every namespace.
const rootCA = "kube-root-ca.crt"

// apiKeys are the ledger's objects as the API shows them.
func (r *ring) apiKeys(ctx context.Context) (map[string]stored, error) {
	there := map[string]stored{}
	for next := ""; ; {
		var list struct {
			Metadata struct {
				Continue string `json:"continue"`
			} `json:"metadata"`
			Items []configMap `json:"items"`
		}
		query := url.Values{"limit": {"1000"}, "continue": {next}}
		// What is judged is what is stored: the address may move once more meanwhile.
		bounded, cancel := context.WithTimeout(ctx, boundVerify)
		err := Await(bounded, "a page of the API", func(ctx context.Context) error {
			return r.o.through(ctx, r.standpoint(), r.Plan.Endpoint.URL, r.ledger.path()+"?"+query.Encode(), &list)
		})
		cancel()
		if err != nil {
			return nil, err
		}
		for _, item := range list.Items {
			if item.Metadata.Name == rootCA {
				continue
			}
			revision, err := strconv.ParseInt(item.Metadata.ResourceVersion, 10, 64)
			if err != nil {
				return nil, err
			}
			there[item.Metadata.Name] = stored{revision, func(value string) bool { return item.Data["value"] == value }}
		}
		if next = list.Metadata.Continue; next == "" {
			return there, nil
		}
	}
}

// sameEtcd wants every master's own etcd to name the same cluster with the same
// members, all of them voters and one for each master, and that it is the cluster of
// before: a second one must never be. It returns words about it.
func (r *ring) sameEtcd(ctx context.Context) (string, error) {
	masters := r.mastersOf()
	var first etcdAnswer
	for i, n := range masters {
		a, err := n.etcd(ctx, "member", "list")
		if err != nil {
			return "", err
		}
		slices.SortFunc(a.Members, func(a, b etcdMember) int { return strings.Compare(a.Name, b.Name) })
		if i == 0 {
			first = a
		}
		if a.Header.Cluster != first.Header.Cluster {
			return "", fmt.Errorf("SECOND CLUSTER: etcd of %s is of cluster %x, that of %s of %x", n.Name, a.Header.Cluster, masters[0].Name, first.Header.Cluster)
		}
		if fmt.Sprint(a.Members) != fmt.Sprint(first.Members) {
			return "", fmt.Errorf("etcd of %s lists the members %v, that of %s %v", n.Name, a.Members, masters[0].Name, first.Members)
		}
	}
	var names, want []string
	for _, m := range first.Members {
		if m.Learner {
			return "", fmt.Errorf("%s is a learner", m.Name)
		}
		names = append(names, m.Name)
	}
	for _, n := range masters {
		want = append(want, n.Name)
	}
	slices.Sort(want)
	if !slices.Equal(names, want) {
		return "", fmt.Errorf("etcd's members are %q, want %q", names, want)
	}
	if r.cluster != 0 && r.cluster != first.Header.Cluster {
		return "", fmt.Errorf("SECOND CLUSTER: etcd is of cluster %x, it was %x", first.Header.Cluster, r.cluster)
	}
	r.cluster = first.Header.Cluster
	return fmt.Sprintf("%s of cluster %x", counted(len(names), "voter"), r.cluster), nil
}
