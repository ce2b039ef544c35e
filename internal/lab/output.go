package lab

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"

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
// containers or virtual machines.
func FromOutput(b Built, kind string) (Topology, error) {
	p, err := readPlan(b.Out)
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

// bootable refuses what the lab has no operating system for.
func bootable(p *plan.Plan) error {
	switch {
	case p.OS.Family != "imgforge" && p.OS.Family != "debian":
		return fmt.Errorf("its own image boots the payloads of os.family %s, and the lab has none: it can show the same cluster with os.family: imgforge (or debian), "+
			"which differs in the operating system's own files alone", p.OS.Family)
	case p.OS.Format == "cloud-init" && p.Platform.Drive != "cidata":
		return fmt.Errorf("platform %s hands cloud-init its data through a service that the lab does not have: it can show the same cluster with platform.provider: libvirt, which reads a drive",
			p.Platform.Provider)
	case p.OS.Arch != "" && p.OS.Arch != "amd64":
		return fmt.Errorf("the lab's nodes are amd64, not %s", p.OS.Arch)
	case p.Addons.CNI == "none" || !p.Addons.KubeProxy:
		return errors.New("it leaves pods' network or Services to add-ons of your own, which the lab does not have: it can show the same cluster with addons.cni: flannel and addons.kubeProxy: true")
	}
	return nil
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
	if drives {
		if t.tree, err = t.CloudTree(ctx); err != nil {
			return err
		}
	}
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
