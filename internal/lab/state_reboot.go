package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

const classReboot = "every node asked for a reboot"

// rebootRows ask for more than a cluster may do at once.
func rebootRows(p *plan.Plan) []Fault {
	if len(notReserved(p, plan.Master)) < 3 {
		return nil
	}
	return []Fault{{Class: classReboot, Name: "ask every node for a reboot in its window, all at once", Short: true, Serves: true,
		Within: 15 * time.Minute, Do: rebootInTurn}}
}

// waitClosed is how long nobody may go while all windows are closed: masters look at
// every node at least every 15 s.
const waitClosed = 40 * time.Second

// rebootInTurn asks every node for a reboot at once, first while no window is open and
// then while all are. Each has to go, one at a time, drained and inside its window, and
// to take pods again. The windows are the lab's: a plan gives masters no minute of
// another's, so theirs take most of an hour.
func rebootInTurn(ctx context.Context, b *bout) (evidence string, err error) {
	before, err := b.setWindows(ctx, time.Now().UTC().Add(6*time.Hour))
	if err != nil {
		return "", err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, b.giveWindowsBack(bounded, before))
	}()
	k, err := b.runKept(ctx, apartAlways)
	if err != nil {
		return "", err
	}
	evidence, err = b.askAll(ctx, k)
	return evidence, errors.Join(err, k.gone(ctx))
}

// askAll asks, and watches who goes when.
func (b *bout) askAll(ctx context.Context, k kept) (string, error) {
	var asked []string
	for _, n := range b.members() {
		asked = append(asked, n.Name)
	}
	request := slices.Concat([]string{"--server=" + b.Plan.Endpoint.URL, "annotate", "node", "--overwrite"}, asked, []string{"imgforge.io/reboot=window"})
	if _, err := b.o.kubectlIn(ctx, b.standpoint(), "", request...); err != nil {
		return "", err
	}
	var h hands
	release := h.hold(ctx, b.members())
	defer release()
	s := newTurns(b, k)
	looked := s.follow(ctx)
	defer looked()
	rest(ctx, waitClosed)
	if turns, _, err := h.seen(); err != nil || len(turns) > 0 || s.cordoned() > 0 {
		return "", errors.Join(fmt.Errorf("outside of every window %v rebooted, and %d were cordoned", turns, s.cordoned()), err)
	}
	b.Begun()
	if _, err := b.setWindows(ctx, time.Now().UTC().Add(-time.Minute)); err != nil {
		return "", err
	}
	took, err := b.Wait(ctx, "all have rebooted, are Ready and take pods", 13*time.Minute, func(ctx context.Context) error { return b.allTurned(ctx, &h, asked) })
	if err != nil {
		return "", err
	}
	b.Measure("all have rebooted", took, 0)
	looked()
	release()
	return s.judge(&h, asked)
}

// allTurned refuses until every node was down once, is Ready and has nothing of it left.
func (b *bout) allTurned(ctx context.Context, h *hands, asked []string) error {
	turns, _, err := h.seen()
	if err != nil || len(turns) < len(asked) {
		return fmt.Errorf("rebooted so far: %v %w", turns, err)
	}
	all, err := b.rebooting(ctx)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.cordoned || !n.ready || len(n.notes) > 0 {
			return fmt.Errorf("%s: cordoned %v, Ready %v, %q", n.name, n.cordoned, n.ready, n.notes)
		}
	}
	return nil
}

// rebootingNode is what the API says of a node's turn.
type rebootingNode struct {
	name            string
	cordoned, ready bool
	notes           []string // of the guard, and the request
}

func (b *bout) rebooting(ctx context.Context) (out []rebootingNode, err error) {
	var list struct {
		Items []struct {
			Metadata struct {
				Name        string            `json:"name"`
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec struct {
				Unschedulable bool `json:"unschedulable"`
			} `json:"spec"`
			Status struct {
				Conditions []struct{ Type, Status string } `json:"conditions"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := b.anyMaster(ctx, b.o, "/api/v1/nodes", &list); err != nil {
		return nil, err
	}
	for _, item := range list.Items {
		n := rebootingNode{name: item.Metadata.Name, cordoned: item.Spec.Unschedulable}
		for key := range item.Metadata.Annotations {
			if strings.HasPrefix(key, "imgforge.io/reboot") {
				n.notes = append(n.notes, key)
			}
		}
		for _, c := range item.Status.Conditions {
			n.ready = n.ready || c.Type == "Ready" && c.Status == "True"
		}
		out = append(out, n)
	}
	return out, nil
}

// setWindows opens a window of two hours for every node, at a time, and returns what
// each master had.
func (b *bout) setWindows(ctx context.Context, at time.Time) (before map[string]string, err error) {
	before = map[string]string{}
	for _, n := range b.mastersOf() {
		text, err := n.Run(ctx, "cat", artifact.ClusterFilePath)
		if err != nil {
			return before, err
		}
		c, err := artifact.ParseClusterFile([]byte(text))
		if err != nil {
			return before, err
		}
		c.Timezone = ""
		for i := range c.Nodes {
			c.Nodes[i].Window = &artifact.ClusterWindow{Start: at.Format("15:04"), Minutes: 120}
		}
		changed, err := artifact.EncodeClusterFile(c)
		if err != nil {
			return before, err
		}
		if err := n.tellCluster(ctx, string(changed)); err != nil {
			return before, err
		}
		before[n.Name] = text
	}
	return before, nil
}

func (b *bout) giveWindowsBack(ctx context.Context, before map[string]string) error {
	var errs []error
	for _, n := range b.mastersOf() {
		if text := before[n.Name]; text != "" {
			errs = append(errs, n.tellCluster(ctx, text))
		}
	}
	return errors.Join(errs...)
}

// tellCluster gives a running node another cluster.json.
func (n *Node) tellCluster(ctx context.Context, text string) error {
	err := os.WriteFile(filepath.Join(fmt.Sprintf("/proc/%d/root", n.leader), artifact.ClusterFilePath), []byte(text), 0o644)
	if err != nil {
		return err
	}
	_, err = n.Run(ctx, "systemctl", "restart", "imgforge-node.service")
	return err
}
