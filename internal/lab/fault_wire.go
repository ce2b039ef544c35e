package lab

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// What the lab does to the wire between nodes.

// plugged sets the state of a node's port of the switch, "up" or "down": a cable that
// was pulled, which the node's own end does not feel but as silence.
func (n *Network) plugged(ctx context.Context, port, state string) error {
	_, err := n.lab.run(ctx, "ip", "-netns", n.netns, "link", "set", port, state)
	return err
}

// rules has the switch drop what lines of nft say of frames that it forwards, instead of
// what it dropped before. None: it drops nothing.
func (n *Network) rules(ctx context.Context, lines ...string) error {
	text := "table bridge lab\ndelete table bridge lab\n"
	if len(lines) > 0 {
		text += "table bridge lab {\nchain forward {\ntype filter hook forward priority 0; policy accept;\n" + strings.Join(lines, "\n") + "\n}\n}\n"
	}
	nft, err := n.lab.Tool("nft")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", n.netns, nft, "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	_, err = output(cmd)
	return err
}

// parted are rules that let nobody of one group reach anybody of another.
func parted(groups ...[]*Node) (lines []string) {
	for i, from := range groups {
		for j, to := range groups {
			if i != j && len(from) > 0 && len(to) > 0 {
				lines = append(lines, fmt.Sprintf("iifname { %s } oifname { %s } drop", ports(from), ports(to)))
			}
		}
	}
	return lines
}

// lossy are rules that lose a part, in percent, of what goes to or comes from nodes.
func lossy(percent int, nodes ...*Node) []string {
	lose := fmt.Sprintf("numgen random mod 100 < %d drop", percent)
	return []string{fmt.Sprintf("iifname { %s } %s", ports(nodes), lose), fmt.Sprintf("oifname { %s } %s", ports(nodes), lose)}
}

func ports(nodes []*Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, `"`+n.port+`"`)
	}
	return strings.Join(names, ", ")
}

// during spoils something, gives the cluster time to notice, has look look, waits until
// the time is over, and heals it, whatever happened.
func (b *bout) during(ctx context.Context, d time.Duration, spoil, heal func(context.Context) error, look func(context.Context) error) error {
	b.Begun()
	err := spoil(ctx)
	if err == nil && look != nil {
		rest(ctx, min(d/2, 10*time.Second))
		err = look(ctx)
	}
	if err == nil {
		rest(ctx, d-b.since())
	}
	healing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, heal(healing))
	b.Healed()
	return err
}

// dropping is during for rules of the switch.
func (b *bout) dropping(ctx context.Context, d time.Duration, look func(context.Context) error, lines ...string) error {
	return b.during(ctx, d, func(ctx context.Context) error { return b.wire.rules(ctx, lines...) },
		func(ctx context.Context) error { return b.wire.rules(ctx) }, look)
}

// serving is a look that wants clients to read and write through the endpoint.
func (b *bout) serving(ctx context.Context) error { return b.Serves(ctx, time.Minute) }
