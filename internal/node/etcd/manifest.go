package etcd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"

	"github.com/imgforge/imgforge/internal/artifact"
)

// What the staged manifest has in place of the two values that only a decision
// knows. Each stands once, as the whole value of its flag.
const (
	placeCluster = "--initial-cluster=${INITIAL_CLUSTER}"
	placeState   = "--initial-cluster-state=${INITIAL_CLUSTER_STATE}"
)

const (
	stateNew      = "new"
	stateExisting = "existing"
)

// plainCluster is what an initial cluster may hold: nothing that YAML or JSON, with
// quotes around it or without, could read as anything else.
var plainCluster = regexp.MustCompile(`^[A-Za-z0-9.=:/,\[\]_-]+$`)

var placedCluster = regexp.MustCompile(`--initial-cluster=([^"'\s]+)`)

// fillManifest puts the two values into a staged manifest.
func fillManifest(staged []byte, cluster, state string) ([]byte, error) {
	text := string(staged)
	for _, place := range []string{placeCluster, placeState} {
		if n := strings.Count(text, place); n != 1 {
			return nil, fmt.Errorf("%s holds %s %d times, not once: render the payload again", stagedPath, place, n)
		}
	}
	if !plainCluster.MatchString(cluster) {
		return nil, fmt.Errorf("initial cluster %q holds what a manifest cannot", cluster)
	}
	text = strings.Replace(text, placeCluster, "--initial-cluster="+cluster, 1)
	return []byte(strings.Replace(text, placeState, "--initial-cluster-state="+state, 1)), nil
}

// place gives the kubelet a manifest, unless it has that very one: every change
// restarts etcd.
func (n *node) place(cluster, state string) error {
	staged, err := os.ReadFile(n.path(stagedPath))
	if err != nil {
		return fmt.Errorf("read the staged manifest: %w", err)
	}
	text, err := fillManifest(staged, cluster, state)
	if err != nil {
		return err
	}
	if now, err := os.ReadFile(n.path(manifestPath)); err == nil && string(now) == string(text) {
		return nil
	}
	return artifact.WriteBytes(n.path(manifestPath), 0o600, text)
}

// placed is the initial cluster of the manifest that the kubelet has, "" without
// one.
func (n *node) placed() (string, error) {
	data, err := os.ReadFile(n.path(manifestPath))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read etcd's manifest: %w", err)
	}
	if m := placedCluster.FindSubmatch(data); m != nil {
		return string(m[1]), nil
	}
	return "unknown", nil // a manifest all the same
}

// displace takes the manifest away; that there is none is fine.
func (n *node) displace() error {
	if err := os.Remove(n.path(manifestPath)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("take etcd's manifest away: %w", err)
	}
	return nil
}
