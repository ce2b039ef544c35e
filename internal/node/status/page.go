package status

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node/leaf"
	"github.com/imgforge/imgforge/internal/node/step"
)

// vrrpDir is where keepalived's notify hook leaves one file per instance.
const vrrpDir = "/run/imgforge/vrrp"

// page is the status of one node.
type page struct {
	o       Options
	node    artifact.NodeFile
	cluster artifact.ClusterFile
}

// now finds out everything that the page shows. What cannot be read is said on it.
func (p *page) now() artifact.StatusFile {
	at := p.o.Now().UTC()
	s := artifact.StatusFile{Schema: artifact.StatusSchema, Cluster: p.node.Cluster, Node: p.node.Node, Role: p.node.Role, Slot: p.node.Slot, Address: p.node.Address,
		Kubernetes: p.cluster.Kubernetes, Helper: cmp.Or(p.o.Version, version()), Time: at, Steps: []artifact.StatusStep{}, Codes: []int{}}
	unread := func(err error) {
		if err != nil {
			s.Unread = append(s.Unread, err.Error())
		}
	}
	records, err := step.Read(p.o.Root)
	unread(err)
	for _, r := range records {
		s.Steps = append(s.Steps, artifact.StatusStep(r))
		if r.Code != 0 {
			s.Codes = append(s.Codes, r.Code)
		}
	}
	if s.Boot, err = boot(p.o.Root); err != nil {
		unread(fmt.Errorf("when this node was started: %w", err))
	}
	s.VRRP, err = vrrp(p.o.Root)
	unread(err)
	states := leaf.Read(p.o.Root, p.node.Role, at)
	s.LatestBoot = leaf.LatestBoot(states)
	for _, l := range states {
		if l.Unread != "" {
			unread(errors.New(l.Path + ": " + l.Unread))
			continue
		}
		s.Leaves = append(s.Leaves, artifact.StatusLeaf{Path: l.Path, NotAfter: l.NotAfter, Renewed: l.Renewed})
	}
	return s
}

// vrrp is what keepalived told last; a node without it has none.
func vrrp(root string) (out []artifact.StatusVRRP, err error) {
	files, err := os.ReadDir(filepath.Join(root, vrrpDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") || !strings.HasSuffix(f.Name(), ".json") {
			continue // being written
		}
		data, err := os.ReadFile(filepath.Join(root, vrrpDir, f.Name()))
		var v artifact.StatusVRRP
		if err == nil {
			err = json.Unmarshal(data, &v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s/%s: %w", vrrpDir, f.Name(), err))
			continue
		}
		out = append(out, v)
	}
	return out, errors.Join(errs...)
}

// ticksPerSecond is the unit of the kernel's process times, the same on every Linux.
const ticksPerSecond = 100

// boot is when the machine's first process started. A container shares the kernel,
// and with it the uptime, of its host.
func boot(root string) (time.Time, error) {
	stat, err := os.ReadFile(filepath.Join(root, "/proc/1/stat"))
	if err != nil {
		return time.Time{}, err
	}
	// The second field is a name in brackets, which may hold anything.
	_, rest, _ := strings.Cut(string(stat[max(0, strings.LastIndexByte(string(stat), ')')):]), " ")
	fields := strings.Fields(rest)
	const start = 19 // counted from the state
	if len(fields) <= start {
		return time.Time{}, errors.New("/proc/1/stat is short")
	}
	ticks, err := strconv.ParseInt(fields[start], 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	text, err := os.ReadFile(filepath.Join(root, "/proc/stat"))
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(string(text)) {
		if seconds, ok := strings.CutPrefix(line, "btime "); ok {
			kernel, err := strconv.ParseInt(strings.TrimSpace(seconds), 10, 64)
			return time.Unix(kernel+ticks/ticksPerSecond, 0).UTC(), err
		}
	}
	return time.Time{}, errors.New("/proc/stat has no btime")
}

// version is that of this program.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// text is the status for people.
func text(s artifact.StatusFile) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s %d of cluster %s at %s\n", s.Node, s.Role, s.Slot, s.Cluster, s.Address)
	fmt.Fprintf(&b, "Kubernetes %s, imgforge-node %s\n", s.Kubernetes, s.Helper)
	fmt.Fprintf(&b, "clock %s, started %s\n", stamp(s.Time), stamp(s.Boot))
	fmt.Fprintf(&b, "can boot until %s\n\n", stamp(s.LatestBoot))
	for _, r := range s.Steps {
		fmt.Fprintf(&b, "%-13s %-7s since %s\n    %s\n", r.Step, r.State, stamp(r.Since), strings.ReplaceAll(r.Text, "\n", "\n    "))
	}
	for _, v := range s.VRRP {
		fmt.Fprintf(&b, "vrrp          %s %s is %s\n", strings.ToLower(v.Type), v.Name, v.State)
	}
	b.WriteString("\ncertificates\n")
	leaves := slices.Clone(s.Leaves)
	slices.SortStableFunc(leaves, func(a, b artifact.StatusLeaf) int { return a.NotAfter.Compare(b.NotAfter) })
	for _, l := range leaves {
		note := ""
		if l.Renewed {
			note = ", renewed by the kubelet"
		}
		fmt.Fprintf(&b, "    until %s  %s%s\n", stamp(l.NotAfter), l.Path, note)
	}
	for _, u := range s.Unread {
		fmt.Fprintf(&b, "not known: %s\n", strings.ReplaceAll(u, "\n", "; "))
	}
	return b.String()
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.UTC().Format(time.RFC3339)
}
