package forge

import (
	"encoding/base64"
	"fmt"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

func claimKey(s payload.Secrets, node string) (key [32]byte, err error) {
	raw, err := s.Secret(node + "/claim")
	if err != nil {
		return key, err
	}
	plain, err := base64.StdEncoding.DecodeString(string(raw))
	if err != nil || len(plain) != len(key) {
		return key, fmt.Errorf("claim key of node %q is not %d bytes in base64: restore the store from git or a backup", node, len(key))
	}
	copy(key[:], plain)
	return key, nil
}

// claimOf is the line that opens a node's slot: a secret.
func claimOf(s payload.Secrets, node string) (string, error) {
	key, err := claimKey(s, node)
	if err != nil {
		return "", err
	}
	return artifact.EncodeClaim(node, key)
}

// Claim is the line that opens one node's slot.
type Claim struct {
	Node string `json:"node"`
	Line string `json:"line"`
}

// Claims lists the claim lines of the nodes of a role, or of all.
func (a *App) Claims(src Source, role string) ([]Claim, error) {
	c, st, err := a.open(src)
	if err != nil {
		return nil, err
	}
	nodes := c.plan.Nodes
	if role != "" {
		if nodes = c.plan.NodesOf(role); len(nodes) == 0 {
			return nil, c.noSuchRole(role)
		}
	}
	out := make([]Claim, 0, len(nodes))
	for _, n := range nodes {
		line, err := claimOf(st, n.Name)
		if err != nil {
			return nil, err
		}
		out = append(out, Claim{Node: n.Name, Line: line})
	}
	return out, nil
}

// ClaimHelp is where the claim lines of a cluster's servers go.
type ClaimHelp struct {
	// Where is what to do with a line, one step per entry, on this cluster's provider.
	Where []string
	// Claims are the lines of the nodes that are to exist: secrets.
	Claims []Claim
}

// ClaimHelp says what to paste where so that each server of a role, or of all, becomes
// the node that its line is for. The reserve is left out: nobody makes those servers yet.
func (a *App) ClaimHelp(src Source, role string) (*ClaimHelp, error) {
	src, err := src.kept()
	if err != nil {
		return nil, err
	}
	claims, err := a.Claims(src, role)
	if err != nil {
		return nil, err
	}
	c, err := a.load(src, storeFacts(src.storeDir()))
	if err != nil {
		return nil, err
	}
	out := &ClaimHelp{Where: claimSteps(c.plan.Platform.Provider)}
	for _, n := range existing(c.plan) {
		for _, claim := range claims {
			if claim.Node == n.Name {
				out.Claims = append(out.Claims, claim)
			}
		}
	}
	return out, nil
}

// claimSteps are a provider's ways to give a server one line. Those of the clouds are
// the fields and flags that take user-data; drives are those that the node looks at.
func claimSteps(provider string) []string {
	const file = "write the line, alone, to the file claim.txt"
	drive := []string{file, "make a drive of it: genisoimage -quiet -V imgf-claim -r -o claim.iso -graft-points claim=claim.txt"}
	way := map[string][]string{
		"scaleway": {"console: Instances, Create Instance, Cloud-init: paste the line of that server and nothing else",
			"or, with that file: scw instance user-data set server-id=ID key=cloud-init content=@claim.txt, before its first boot or while it waits: it looks every two seconds",
			"or write roles.<role>.image and let `imgforge up scaleway` do it; once a node is Ready it deletes the line at the provider itself"},
		"exoscale":  {"console: Compute, Add Instance, User Data: paste the line of that server and nothing else", "or, with that file: exo compute instance create NAME --cloud-init claim.txt, without --cloud-init-compress"},
		"hetzner":   {"console: Servers, Add Server, Cloud config: paste the line of that server and nothing else", "or, with that file: hcloud server create --name NAME --user-data-from-file claim.txt"},
		"ec2":       {"console: Launch instance, Advanced details, User data: paste the line of that server and nothing else", "or, with that file: aws ec2 run-instances --user-data file://claim.txt"},
		"openstack": {"with that file: openstack server create --user-data claim.txt NAME; a config drive works as well as the metadata service"},
		"proxmox":   {"upload claim.iso to a storage and attach it: qm set VMID --ide2 STORAGE:iso/claim.iso,media=cdrom; remove it once the node is Ready"},
		"libvirt": {"attach claim.iso as a CD drive: virt-install --disk claim.iso,device=cdrom",
			"or without a drive, in QEMU's arguments: -fw_cfg name=opt/com.github.imgforge/claim,file=claim.txt; an argument with the line itself would show in the list of processes"},
		"metal": {"write claim.iso to a USB stick, or attach it as virtual media of the management controller; remove it once the node is Ready",
			"or pass the kernel argument imgforge.claim=LINE, which every process on the machine can read"},
	}[provider]
	switch provider {
	case "proxmox", "libvirt", "metal":
		return append(drive, way...)
	}
	return append([]string{file}, way...)
}

// Title names what a list of steps is about.
func (h *ClaimHelp) Title() string {
	return fmt.Sprintf("%s, one per server; each is a secret and opens that server's keys alone", Counted(len(h.Claims), "line"))
}
