package lab

import (
	"fmt"
	"slices"
	"strings"
)

// peerReady is what both are measured by.
const peerReady = "power-on to all Ready"

// lines say both in a few lines; none without a comparison.
func (p *Peer) lines() (lines []string) {
	if p == nil {
		return nil
	}
	lines = append(lines, fmt.Sprintf("  %6.1f s  imgforge: %s", p.Own, peerReady))
	for _, c := range p.Clusters {
		lines = append(lines, fmt.Sprintf("  %6.1f s  kubeadm, %s: imgforge took %.2f of it", c.Seconds, c.How, c.Ratio))
	}
	return lines
}

// peer is the comparison with kubeadm, with all that somebody needs who doubts it.
func (m *markdown) peer(p *Peer) {
	if p == nil {
		return
	}
	m.linef("\n### Beside kubeadm\n\nEach cluster had the machine for itself: %s and %s, powered on at once; %s counts from the first node's power-on and ends when the API lists every node as Ready, asked every %s.\n",
		counted(p.Masters, "master"), counted(p.Others, "other node"), peerReady, pauseAPI)
	m.linef("| cluster | %s | imgforge's in these | aim | of the processors' time: its nodes | everything else but the lab |\n|---|---|---|---|---|---|", peerReady)
	m.linef("| imgforge, from its payloads | %.1f s | | | %s |", p.Own, p.Load)
	for i, c := range p.Clusters {
		aim := ""
		if i == 0 {
			aim = fmt.Sprintf("at most %.1f", aimPeer)
		}
		m.linef("| kubeadm: %s | %.1f s | %.2f | %s | %s |", c.How, c.Seconds, c.Ratio, aim, c.Load)
	}
	if p.disturbed() {
		m.linef("\n**The machine did other work meanwhile**, some of it only in what the nodes left idle: measure on a quiet one before you rely on these times.")
	}
	m.linef("\nThe same for both: %s. What kubeadm's side is spared: %s.\n", strings.Join(peerSame(), "; "), strings.Join(peerSpared(), "; "))
	for _, c := range p.Clusters {
		m.commands(c)
	}
	m.linef("<details><summary>kubeadm's configuration of the first master, another master and another node; TOKEN and KEY are secrets of one run</summary>\n")
	for _, text := range p.Configs {
		m.linef("```yaml\n%s\n```\n", strings.TrimRight(text, "\n"))
	}
	m.linef("</details>\n")
}

// disturbed tells whether something else took more than a tenth of the processors' time.
func (p *Peer) disturbed() bool {
	loads := []Load{p.Load}
	for _, c := range p.Clusters {
		loads = append(loads, c.Load)
	}
	return slices.ContainsFunc(loads, func(l Load) bool { return l.Others > l.Of/10 })
}

// String is two cells of a table.
func (l Load) String() string {
	return fmt.Sprintf("%.0f %% | %.0f %%", 100*l.Nodes/l.Of, 100*l.Others/l.Of)
}

// peerSame is what no side has for itself.
func peerSame() []string {
	return []string{"the machine, one after the other", "the tree of imgforge's base", "the programs and their versions", "containerd and its settings",
		"what the lab adds to a node", "container images, unpacked on every node before power-on", "flannel's objects", "kube-proxy's mode"}
}

// peerSpared is what imgforge's side does in its time, and kubeadm's need not.
func peerSpared() []string {
	return []string{
		"finding out who a machine is: each is told its name, address and role, and knows the others' names",
		"a mesh: its nodes talk in the clear",
		"a load balancer: the lab's is there before any node has power, as a provider's would be, and passes on to API servers that are ready",
		"firewalls, metrics-server and kubelets' serving certificates of the cluster",
		"pulling or checking images",
		"a person: every command is typed in the moment in which it can succeed, and with keys as small as imgforge's (ECDSA P-256)",
		"cold caches: it boots after imgforge's cluster, from the same files",
	}
}

// commands is when who typed what.
func (m *markdown) commands(c PeerCluster) {
	m.linef("<details><summary>kubeadm: %s: every command and its phases, in seconds from power-on</summary>\n\n| from | to | node | what |\n|---|---|---|---|", c.How)
	list := slices.Clone(c.Commands)
	slices.SortStableFunc(list, func(a, b PeerCommand) int { return int(1000 * (a.Begun - b.Begun)) })
	for _, command := range list {
		m.linef("| %.1f | %.1f | %s | `%s` |", command.Begun, command.Ended, command.Node, command.Text)
		for _, said := range command.Said {
			m.linef("| %.1f | | | %s |", said.Seconds, cell(said.Text))
		}
	}
	m.linef("\n</details>\n")
}
