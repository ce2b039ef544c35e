package reboot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/api"
)

const (
	bootPath     = "/proc/sys/kernel/random/boot_id"
	requiredPath = "/run/reboot-required" // Flatcar's update-engine and Debian's packages write it
)

// reasonNow is that of an operator who does not wait for the window.
const reasonNow = "now"

// again is how long a reboot that was asked for may take to begin.
const again = time.Minute

// patience is how many looks in a row may fail before that is told.
const patience = 4

// own looks after this node.
type own struct {
	o      Options
	name   string
	boot   string
	client *api.Client
	agent  *agent
	tries  int
	began  time.Time // when a reboot was last asked for
}

func newOwn(o Options, name string) (*own, error) {
	boot, err := os.ReadFile(filepath.Join(o.Root, bootPath))
	if err != nil {
		return nil, fmt.Errorf("read which boot this is: %w", err)
	}
	return &own{o: o, name: name, boot: strings.TrimSpace(string(boot)), agent: &agent{now: o.Now}}, nil
}

// look says on the Node whether a reboot is due, and reboots when it may.
func (w *own) look(ctx context.Context) (said word, busy bool) {
	due, err := w.due()
	if err == nil {
		err = w.tell(ctx, due)
	}
	if err != nil {
		w.tries++
		if w.tries >= patience && due != "" {
			return word{failure: bootcode.Fail(bootcode.RebootUnasked, "%v", err)}, true
		}
		return word{waiting: "for the API, to read whose turn it is"}, true
	}
	w.tries = 0
	return w.act(ctx, due)
}

// due is why this machine has to reboot, if it has.
func (w *own) due() (string, error) {
	text, err := os.ReadFile(filepath.Join(w.o.Root, RequestPath))
	switch {
	case err == nil && strings.TrimSpace(string(text)) == reasonNow:
		return reasonNow, nil
	case err == nil:
		return "it was asked to on the machine itself", nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case w.agent.waits():
		return "an update is staged", nil
	}
	switch _, err := os.Stat(filepath.Join(w.o.Root, requiredPath)); {
	case err == nil:
		return "an update is installed", nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return "", nil
}

// tell writes what is due onto this node's Node, and reads there whether it may.
func (w *own) tell(ctx context.Context, due string) error {
	if w.client == nil { // the kubelet's leaf comes with the claim
		client, err := api.NewKubelet(w.o.Root)
		if err != nil {
			return err
		}
		w.client = client
	}
	var m machine
	if err := w.client.Get(ctx, nodeRef(w.name), &m); err != nil {
		return err
	}
	want := any(w.boot + " " + due)
	if due == "" {
		want = nil
	}
	if have, there := m.Metadata.Annotations[dueKey]; there != (due != "") || there && have != want {
		patch := body(map[string]any{"metadata": map[string]any{"annotations": map[string]any{dueKey: want}}})
		if err := w.client.Merge(ctx, nodeRef(w.name), patch, &m); err != nil {
			return err
		}
	}
	_, ours := m.Metadata.Annotations[oursKey]
	w.agent.learn(!ours, w.grant(m))
	return nil
}

// grant is until when this boot of the machine may begin to reboot.
func (w *own) grant(m machine) time.Time {
	boot, text, _ := strings.Cut(m.Metadata.Annotations[grantedKey], " ")
	until, err := time.Parse(time.RFC3339, text)
	if err != nil || boot != w.boot {
		return time.Time{}
	}
	return until
}

// act reboots, once, when it may. Fedora CoreOS's agent has to do it itself where it
// asked: an update is only taken that way.
func (w *own) act(ctx context.Context, due string) (word, bool) {
	now := w.o.Now()
	switch {
	case !w.agent.granted():
		if due == "" {
			return word{}, false
		}
		return word{waiting: "for its turn to reboot: " + due}, true
	case w.agent.waits():
		return word{waiting: "for the system's own agent to reboot"}, true
	case now.Sub(w.began) < again:
		return word{waiting: "for the system to end"}, true
	}
	if err := w.o.Reboot(ctx); err != nil {
		return word{failure: bootcode.Fail(bootcode.RebootUnmade, "%v", err)}, true
	}
	w.began = now
	return word{waiting: "for the system to end"}, true
}
