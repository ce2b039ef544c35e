package watch

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// version is one state of this node's Node.
type version struct {
	Metadata struct{ ResourceVersion string }
	Status   struct {
		Conditions []struct{ Type, LastHeartbeatTime string }
		NodeInfo   struct{ MachineID, BootID, SystemUUID string }
	}
}

func (v version) posting() posting {
	info := v.Status.NodeInfo
	p := posting{Machine: tame(info.MachineID), Boot: tame(info.BootID), System: tame(info.SystemUUID)}
	if p.System == p.Machine {
		p.System = "" // the kubelet found none
	}
	for _, c := range v.Status.Conditions {
		if c.Type == "Ready" {
			p.Beat = c.LastHeartbeatTime
		}
	}
	return p
}

// tame is an id without what could steer a console: another machine wrote it.
func tame(id string) string {
	const longest = 64
	id = strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, id)
	return id[:min(len(id), longest)]
}

// ownIDs are what this machine's kubelet posts of it, read where that reads them
// (machine_id_file and boot_id_file of github.com/google/cadvisor).
func ownIDs(root string) (machine, boot string) {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if machine = strings.TrimSpace(string(contents(root, path))); machine != "" {
			break
		}
	}
	return machine, strings.TrimSpace(string(contents(root, "/proc/sys/kernel/random/boot_id")))
}

// learn shows the rivals every version of the Node up to the one that the API just
// answered with.
func (a *apiClient) learn(ctx context.Context, client *http.Client, url, node string, body []byte) {
	var last version
	if json.Unmarshal(body, &last) != nil {
		return // which is said already
	}
	now := a.now()
	if at := last.Metadata.ResourceVersion; a.seen != "" && at != a.seen {
		for _, v := range a.between(ctx, client, url, node, at) {
			a.rivals.see(v.posting(), now)
		}
	}
	a.rivals.see(last.posting(), now)
	a.seen = last.Metadata.ResourceVersion
}

const (
	replayBound = "3"      // seconds: the versions are there already, so it takes none
	replayMost  = 16 << 20 // bytes
)

// between are the versions after the one that was seen last, up to another: all that
// was written since, also while this node could not ask. The API server may have
// forgotten them; then there are none.
func (a *apiClient) between(ctx context.Context, client *http.Client, base, node, end string) (out []version) {
	query := url.Values{"watch": {"true"}, "fieldSelector": {"metadata.name=" + node}, "resourceVersion": {a.seen}, "timeoutSeconds": {replayBound}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/nodes?"+query.Encode(), nil)
	if err != nil {
		return nil
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	for d := json.NewDecoder(io.LimitReader(resp.Body, replayMost)); ; {
		var event struct {
			Type   string
			Object version
		}
		if d.Decode(&event) != nil || event.Type == "ERROR" {
			return out
		}
		if event.Type != "DELETED" { // which has what was there before
			out = append(out, event.Object)
		}
		if event.Object.Metadata.ResourceVersion == end {
			return out
		}
	}
}
