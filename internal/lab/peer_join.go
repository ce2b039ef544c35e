package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// join does what kubeadm's documentation has a person do, without a second in
// between: init on the first master, the network of pods, and the other nodes.
func (c *peerCluster) join(ctx context.Context) error {
	if err := c.typed(ctx, 0, "kubeadm", "init", "--config="+peerConfig, "--upload-certs"); err != nil {
		return err
	}
	masters, others := 1, []int{}
	for i, m := range c.members {
		if i > 0 && m.master {
			masters++
		} else if i > 0 {
			others = append(others, i)
		}
	}
	var wg sync.WaitGroup
	errs := make([]error, len(c.members)+1)
	wg.Go(func() {
		errs[len(c.members)] = c.typed(ctx, 0, "kubectl", "--kubeconfig="+peerAdmin, "apply", "--filename="+peerFlannel)
	})
	defer wg.Wait()
	if err := Await(ctx, "cluster-info is signed for the token", c.signed); err != nil {
		return err
	}
	for _, i := range others {
		wg.Go(func() { errs[i] = c.typed(ctx, i, "kubeadm", "join", "--config="+peerConfig) })
	}
	for i := 1; i < masters; i++ {
		if c.way.atOnce {
			wg.Go(func() { errs[i] = c.typed(ctx, i, "kubeadm", "join", "--config="+peerConfig) })
		} else if errs[i] = c.typed(ctx, i, "kubeadm", "join", "--config="+peerConfig); errs[i] != nil {
			break
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// signed tells whether a join would find what it discovers the cluster by: what comes
// too early tries again after five seconds. The controller manager signs it, which is
// later to begin than the API server.
func (c *peerCluster) signed(ctx context.Context) error {
	o := &operator{trial: c.trial, netns: c.trial.wire.netns}
	if err := o.parseFile(filepath.Join(c.nodes[0].root, peerAdmin)); err != nil {
		return err
	}
	var info struct {
		Data map[string]string `json:"data"`
	}
	if err := o.through(ctx, o.netns, o.server, "/api/v1/namespaces/kube-public/configmaps/cluster-info", &info); err != nil {
		return err
	}
	id, _, _ := strings.Cut(c.token, ".")
	if info.Data["jws-kubeconfig-"+id] == "" {
		return errors.New("it is not yet")
	}
	return nil
}

// typed runs a command on a node once its containerd answers, and notes when it
// began, when it came to which of its phases, and when it ended.
func (c *peerCluster) typed(ctx context.Context, i int, args ...string) error {
	n := c.nodes[i]
	if err := Await(ctx, "containerd answers", func(ctx context.Context) error {
		_, err := n.Run(ctx, "ctr", "version")
		return err
	}); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	command := PeerCommand{Node: n.Name, Text: strings.Join(args, " "), Begun: time.Since(c.first).Seconds()}
	c.trial.logf("%6.1f s  %s: %s", command.Begun, n.Name, command.Text)
	lines := &phaseLines{since: c.first, hide: strings.NewReplacer(c.token, "TOKEN", c.key, "KEY")}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(n.leader), "--all", "--wd=/"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	cmd.Stdout, cmd.Stderr = lines, lines
	err := cmd.Run()
	command.Ended, command.Said = time.Since(c.first).Seconds(), lines.said
	if err != nil {
		err = fmt.Errorf("%s: %s: %w: %s", n.Name, command.Text, err, lines.last())
		command.Failure = err.Error()
	} else {
		c.trial.Note(n.Name, time.Since(c.first), strings.Join(args[:2], " ")+" is done")
	}
	c.mu.Lock()
	c.seen.Commands = append(c.seen.Commands, command)
	c.mu.Unlock()
	return err
}

// phaseLines takes what kubeadm prints and keeps the first line of each of its phases.
type phaseLines struct {
	since time.Time
	hide  *strings.Replacer // of secrets
	rest  bytes.Buffer
	all   []string
	said  []Moment
	phase string
}

func (p *phaseLines) Write(data []byte) (int, error) {
	p.rest.Write(data)
	for {
		line, err := p.rest.ReadString('\n')
		if err != nil {
			p.rest.WriteString(line) // the end of it is still to come
			return len(data), nil
		}
		p.take(p.hide.Replace(strings.TrimSpace(line)))
	}
}

func (p *phaseLines) take(line string) {
	p.all = append(p.all, line)
	phase, _, ok := strings.Cut(line, "]")
	if !ok || !strings.HasPrefix(phase, "[") || phase == p.phase || strings.HasPrefix(line, "[WARNING") {
		return
	}
	p.phase = phase
	p.said = append(p.said, Moment{Seconds: time.Since(p.since).Seconds(), Text: line})
}

// last are the last lines, for a person who asks why it failed.
func (p *phaseLines) last() string {
	return strings.Join(p.all[max(0, len(p.all)-8):], " / ")
}
