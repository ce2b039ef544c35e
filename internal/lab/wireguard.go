package lab

import "context"

func wireGuardLocal() Topology {
	return Topology{
		Name:    "wireguard-local",
		About:   "3 masters, 2 workers; WireGuard, the API at 127.0.0.1 of every node, Ignition, node payloads",
		Kind:    Container,
		Cluster: clusterFile("wireguard-local"),
		Play:    playWireGuardLocal,
		Payload: nodePayload,
	}
}

func playWireGuardLocal(ctx context.Context, t *Trial) error {
	ctx, cancel := context.WithTimeout(ctx, boundTrial)
	defer cancel()
	if err := t.Containers(ctx); err != nil {
		return err
	}
	for _, name := range t.existing() {
		made, _ := t.Plan.Node(name)
		if _, err := t.Make(ctx, name, t.Topology.Payload(made)); err != nil {
			return err
		}
	}
	return t.playContainers(ctx)
}
