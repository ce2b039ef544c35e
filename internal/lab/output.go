package lab

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/forge"
	"github.com/imgforge/imgforge/internal/plan"
)

// Built is a cluster that `imgforge build` wrote, and who answers for it.
type Built struct {
	Out    string
	App    *forge.App
	Source forge.Source
}

// FromOutput is the topology of what lies in an output folder: its nodes that are
// not reserved, each with the payload that a machine of its name would get, as
// containers or virtual machines. What the lab cannot show is refused here, before
// anything is built.
func FromOutput(ctx context.Context, b Built, kind string) (Topology, error) {
	p, err := readPlan(b.Out)
	if errors.Is(err, fs.ErrNotExist) {
		return Topology{}, fmt.Errorf("%s holds nothing that imgforge build wrote: run `imgforge build`, or name its folder with --out", b.Out)
	}
	if err != nil {
		return Topology{}, fmt.Errorf("read what imgforge build wrote to %s: %w", b.Out, err)
	}
	if err := bootable(p); err != nil {
		return Topology{}, err
	}
	play := playOutput
	if kind == Machine {
		if err := machinesFromOutput(p); err != nil {
			return Topology{}, err
		}
		play = playOutputMachines
	} else if _, _, err := b.kubeconfig(ctx); err != nil {
		return Topology{}, err
	}
	count := 0
	for _, n := range p.Nodes {
		if !n.Reserved {
			count++
		}
	}
	about := fmt.Sprintf("%s of cluster %s as imgforge build wrote them", counted(count, "node"), p.Cluster)
	return Topology{Name: p.Cluster, About: about, Kind: kind, Built: &b, Play: play}, nil
}

// bootable refuses what the lab has no operating system, provider or disk for.
func bootable(p *plan.Plan) error {
	switch {
	case p.OS.Family != "imgforge" && p.OS.Family != "debian":
		return fmt.Errorf("the lab has no image of os.family %s to boot: it can show the same cluster with os.family: imgforge (or debian), "+
			"which differs in the operating system's own files alone", p.OS.Family)
	case p.OS.Format == "cloud-init" && p.Platform.Drive != "cidata":
		return fmt.Errorf("platform %s hands cloud-init its data through a service that the lab does not have: it can show the same cluster with platform.provider: libvirt, which reads a drive",
			p.Platform.Provider)
	case p.OS.Arch != "" && p.OS.Arch != "amd64":
		return fmt.Errorf("the lab's nodes are amd64, not %s", p.OS.Arch)
	case p.Addons.CNI == "none" || !p.Addons.KubeProxy:
		return errors.New("it leaves pods' network or Services to add-ons of your own, which the lab does not have: it can show the same cluster with addons.cni: flannel and addons.kubeProxy: true")
	}
	if paths := disksOf(p); len(paths) > 0 {
		return fmt.Errorf("the lab's nodes have no disk besides their own root: it can show the same cluster without %s", strings.Join(paths, ", "))
	}
	return nil
}

// disksOf are the places in the cluster file that name a disk of their own.
func disksOf(p *plan.Plan) (paths []string) {
	disk := func(path, device, inherited string) {
		if device != "" && device != inherited {
			paths = append(paths, path)
		}
	}
	disk("etcd.dataDisk", p.Etcd.DataDisk, "")
	for _, r := range p.Roles {
		disk("roles."+r.Name+".dataDisk", r.DataDisk, "")
		disk("roles."+r.Name+".rootDisk", r.RootDisk, "")
		for _, n := range p.NodesOf(r.Name) {
			node := fmt.Sprintf("roles.%s.nodes[%d]", r.Name, n.Slot-1)
			disk(node+".dataDisk", n.DataDisk, r.DataDisk)
			disk(node+".rootDisk", n.RootDisk, r.RootDisk)
		}
	}
	return paths
}

// kubeconfig is an operator's, of `imgforge kubeconfig`; lines say how to get inside, for a server that is there.
func (b Built) kubeconfig(ctx context.Context) (data []byte, lines []string, err error) {
	data, lines, err = b.App.Kubeconfig(ctx, forge.KubeconfigOptions{Source: b.Source, User: "lab", For: 12 * time.Hour})
	if err != nil {
		return nil, nil, fmt.Errorf("the lab asks the API as an operator does, with imgforge kubeconfig: %w", err)
	}
	return data, lines, nil
}

// sameKubernetes refuses a version that the lab has not: its images would carry the
// cluster's reference and another program.
func (t *Trial) sameKubernetes() error {
	path, err := t.Tool("kubelet")
	if err != nil {
		return err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	if has := programOf("kubelet", info).Version; has != "v"+t.Plan.Kubernetes.Version {
		return fmt.Errorf("the lab has Kubernetes %s alone, and the cluster file says %s: it can show the same cluster with kubernetes.version: %s", has, t.Plan.Kubernetes.Version, has[1:])
	}
	return nil
}

func playOutput(ctx context.Context, t *Trial) (err error) {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.sameKubernetes(); err != nil {
		return err
	}
	if err := t.Containers(ctx); err != nil {
		return err
	}
	drives := t.Plan.OS.Format == "cloud-init"
	for _, name := range t.existing() {
		made, _ := t.Plan.Node(name)
		if drives {
			_, err = t.makeFromDrive(ctx, name)
		} else {
			_, err = t.Make(ctx, name, "roles/"+made.Role+".ign")
		}
		if err != nil {
			return err
		}
	}
	return t.playContainers(ctx)
}
