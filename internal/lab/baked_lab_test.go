//go:build lab

package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/testtool"
)

// What imgforge locks, fetches and builds boots in machines that have no network.
func TestBakedCluster(t *testing.T) {
	testtool.Root(t) // the container images are made of Debian's packages
	b := newBakery(t, newLab(t), "alone.yaml")
	disk := b.disk(t)
	t.Run("turns Ready twice", func(t *testing.T) { b.turnsReady(t, disk) })
	t.Run("opens", func(t *testing.T) { b.opens(t, disk) })
}

// turnsReady boots a cluster. Its sealed slot opens by the line that the machine's
// firmware holds. The second boot, after a power cut and without the line, changes nothing.
func (b *bakery) turnsReady(t *testing.T, disk string) {
	n := b.boot(t, disk, "master-1", "-fw_cfg", "name=opt/com.github.imgforge/claim,file="+comma(b.claim(t, "master-1")))
	n.follow(t)
	first := n.look(t)
	first.log(t)
	n.checkFirst(t, first)
	n.again(t)
	n.follow(t)
	second := n.look(t)
	second.log(t)
	n.checkSecond(t, first, second)
	must(t, n.PowerOff(t.Context()))
}

// opens boots a disk until it is claimed, by a line that comes in each way that needs no
// network. Each line makes another node of it, and what is baked in is no such drive.
func (b *bakery) opens(t *testing.T, disk string) {
	for name, way := range b.ways(t) {
		t.Run(name, func(t *testing.T) {
			n := b.boot(t, disk, way.node, way.devices...)
			ctx, cancel := context.WithTimeout(t.Context(), boundMachineCheck)
			defer cancel()
			must(t, n.t.Reach(ctx, n.VM.Name, n.PoweredOn, "identity claimed", n.holds("test -e /var/lib/imgforge/claimed")))
			must(t, n.Prints("this is "+way.node+" (claim line from "+way.from)(ctx))
			must(t, n.PowerOff(ctx))
		})
	}
}

// claimWay is one in which a machine gets its line.
type claimWay struct {
	node, from string
	devices    []string
}

func (b *bakery) ways(t *testing.T) map[string]claimWay {
	t.Helper()
	line := func(node string) string {
		data, err := os.ReadFile(b.claim(t, node))
		must(t, err)
		return strings.TrimSpace(string(data))
	}
	file := func(name string, write func(w io.Writer) error) string {
		f, err := os.OpenFile(b.path(name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		must(t, err)
		must(t, errors.Join(write(f), f.Close()))
		return comma(f.Name())
	}
	drive := func(path string) []string {
		return []string{"-drive", "file=" + path + ",if=virtio,format=raw,readonly=on"}
	}
	return map[string]claimWay{
		"a credential of the firmware": {"master-1", "/run/credentials/@system/imgforge.claim", []string{"-smbios", "type=11,path=" + file("smbios", func(w io.Writer) error {
			_, err := fmt.Fprintf(w, "io.systemd.credential:imgforge.claim=%s", line("master-1"))
			return err
		})}},
		"a drive as OpenStack has it": {"master-2", "/openstack/latest/user_data of drive", drive(file("config-2", func(w io.Writer) error {
			return images.ConfigDrive(w, []byte(line("master-2")+"\n"), "server-7", "i-1")
		}))},
		"a drive of its own": {"master-1", "/claim of drive", drive(file("imgf-claim", func(w io.Writer) error {
			return images.WriteISO(w, "imgf-claim", []artifact.File{{Path: "claim", Contents: []byte(line("master-1") + "\n")}})
		}))},
	}
}

// baked is a machine that boots a baked disk.
type baked struct {
	*VM
	*port
	t *Trial
}

// boot powers on a machine whose only devices are its disk and what is given.
func (b *bakery) boot(t *testing.T, disk, name string, devices ...string) *baked {
	t.Helper()
	v, err := b.lab.Machine(t.Context(), MachineOptions{Name: name, Disk: disk, Cores: 2, MiB: 4096, Devices: devices})
	must(t, err)
	n := &baked{VM: v, t: &Trial{Lab: b.lab, result: &Outcome{}}}
	n.plugIn(t)
	return n
}

// plugIn opens the way in of a machine that has just been powered on.
func (n *baked) plugIn(t *testing.T) {
	t.Helper()
	p, err := n.open(t.Context())
	must(t, err)
	n.port = p
	t.Cleanup(func() { p.close() })
}

// again cuts the power, and boots the disk with nothing else.
func (n *baked) again(t *testing.T) {
	t.Helper()
	n.port.close()
	n.made.Devices = nil
	must(t, errors.Join(n.PowerOff(t.Context()), n.PowerOn(t.Context())))
	n.plugIn(t)
}

const kubectlAlone = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=30s "

// follow waits for what the machine reaches, in the order of its boot.
func (n *baked) follow(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), boundMachine)
	defer cancel()
	for _, w := range []wait{
		{"identity claimed", n.holds("test -e /var/lib/imgforge/claimed")},
		{"containerd runs", n.holds("systemctl is-active containerd.service")},
		{"the container images are there", n.holds("systemctl is-active imgforge-images.service")},
		{"kubelet is healthy", n.holds("curl -sf http://127.0.0.1:10248/healthz")},
		{"etcd is ready", n.holds("curl -sf http://127.0.0.1:2381/readyz")},
		{"the API answers at its endpoint", n.holds(kubectlAlone + "get --raw /readyz")},
		{"node is Ready", slowly(n.ready)},
		{"every pod runs", n.holds("out=$(" + kubectlAlone + "get pods -A --no-headers) && [ -n \"$out\" ] && ! echo \"$out\" | grep -v ' 1/1 *Running '")},
		{"every step is done", slowly(n.stepsDone)},
	} {
		err := n.t.Reach(ctx, n.VM.Name, n.PoweredOn, w.what, w.look)
		if err != nil {
			n.why(t)
		}
		must(t, err)
	}
}

// ready tells what the API says of the node since its power-on.
func (n *baked) ready(ctx context.Context) error {
	out, err := n.run(ctx, kubectlAlone+"get nodes -o json")
	if err != nil {
		return err
	}
	var list nodeList
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return err
	}
	return n.readyIn(list)
}

// stepsDone tells which step of the boot is not done. Where nobody knows the time, the
// node has warned of that and gone on.
func (n *baked) stepsDone(ctx context.Context) error {
	out, err := n.run(ctx, "cat /run/imgforge/steps/*.json")
	if err != nil {
		return err
	}
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var said struct{ Step, State, Text string }
		err := d.Decode(&said)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if said.State != "done" && (said.Step != "time" || said.State != "warning") {
			return fmt.Errorf("step %s is %s: %s", said.Step, said.State, said.Text)
		}
	}
}

// why logs what a machine says that does not come up.
func (n *baked) why(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*time.Minute)
	defer cancel()
	for _, command := range []string{"cat /run/imgforge/steps/*.json", "systemctl list-jobs --no-pager", "systemctl --failed --no-pager", "ip -br address",
		kubectlAlone + "get pods,nodes -A -o wide", "ctr -n k8s.io containers ls", "journalctl -b --no-pager -o short-monotonic | tail -n 1500"} {
		out, err := n.run(ctx, command)
		if err := os.WriteFile(n.artifact("why-"+keyOf([]string{command})+".txt"), []byte(command+"\n"+out), 0o600); err != nil {
			t.Log(err)
		}
		t.Logf("%s (%v):\n%s", command, err, tailOf(out, 60))
	}
}

func tailOf(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// seen is what a look at a node that is Ready shows, by what was looked at.
type seen map[string]string

// looks are the commands of a look.
func looks() map[string]string {
	return map[string]string{
		"extension": "systemd-sysext status --no-legend | awk '{print $1, $2}'", // the third word is when it was merged
		"images":    "ctr -n k8s.io images ls | tail -n +2 | awk '{print $1, $3, $NF}' | sort",
		"contents":  "cd /var/lib/containerd && find io.containerd.content.v1.content/blobs -type f -printf '%P %s\\n' | sort",
		"snapshots": "ls /var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots | wc -l",
		"etc": "find /etc -xdev '(' -type f -o -type l ')' -printf '%p %l %m %u %g\\n' | sort; find /etc -xdev -type f ! -path " + etcdManifest + " -print0 | sort -z | xargs -0 sha256sum; " +
			// Who has data is told to found nothing from the second boot on.
			"sed s/--initial-cluster-state=new/--initial-cluster-state=existing/ " + etcdManifest,
		"machine":      "cat /etc/machine-id",
		"cluster":      kubectlAlone + "get namespace kube-system -o 'jsonpath={.metadata.uid}'",
		"node":         kubectlAlone + "get nodes -o wide --no-headers",
		"pods":         kubectlAlone + "get pods -A -o wide --no-headers",
		"pulls":        kubectlAlone + "get events -A --no-headers | grep -i pull || true",
		"interfaces":   "ip -br address",
		"devices":      "cd /sys/class/net && for i in *; do [ ! -e $i/device ] || echo $i; done",
		"failed":       "systemctl --failed --no-legend --plain",
		"steps":        "cat /run/imgforge/steps/*.json",
		"ignition":     "cat /etc/.ignition-result.json",
		"root":         "df --output=size -BM / | tail -1",
		"boot":         "systemd-analyze || true",
		"sealed slots": "ls /etc/imgforge/slots /var/lib/imgforge 2>&1 || true",
		"claim line":   "grep -rl imgforge-claim-v1 /etc /var/lib/imgforge /run/imgforge 2>/dev/null || true",
	}
}

// look runs every look.
func (n *baked) look(t *testing.T) seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), boundMachineCheck)
	defer cancel()
	out := seen{}
	for _, what := range slices.Sorted(maps.Keys(looks())) {
		// An emulated machine that is busy loses its API for seconds: haproxy's checks of it time out.
		must(t, Await(ctx, what, func(ctx context.Context) (err error) {
			out[what], err = n.run(ctx, looks()[what])
			return err
		}))
		out[what] = strings.TrimSpace(out[what])
	}
	return out
}

func (s seen) log(t *testing.T) {
	for _, what := range slices.Sorted(maps.Keys(s)) {
		if what != "etc" && what != "contents" {
			t.Logf("%s:\n%s", what, s[what])
		}
	}
}

// checkFirst judges the first boot.
func (n *baked) checkFirst(t *testing.T, s seen) {
	t.Helper()
	console, err := n.Console()
	must(t, err)
	for text, times := range map[string]int{"imgforge: the config is the one on /dev/disk/by-partlabel/config-2": 1, "imgforge: Ignition is done": 1,
		"this is master-1 (claim line from": 1} {
		if got := strings.Count(console, text); got != times {
			t.Errorf("the console says %q %d times, want %d", text, got, times)
		}
	}
	if !strings.Contains(s["extension"], "imgforge") {
		t.Errorf("the extension is not merged: %s", s["extension"])
	}
	images := strings.Split(s["images"], "\n")
	for _, line := range images {
		if !strings.Contains(line, "io.cri-containerd.pinned=pinned") && !strings.HasPrefix(line, "sha256:") {
			t.Errorf("an image is not pinned: %s", line)
		}
	}
	if len(images) < 9 {
		t.Errorf("there are %d images", len(images))
	}
	if strings.Contains(s["pulls"], "Pulling") {
		t.Errorf("images were pulled: %s", s["pulls"])
	}
	if s["devices"] != "" {
		t.Errorf("the machine has a network: %s", s["devices"])
	}
	if s["failed"] != "" {
		t.Errorf("units failed: %s", s["failed"])
	}
	if s["claim line"] != "" {
		t.Errorf("the claim line is kept in %s", s["claim line"])
	}
}

// checkSecond compares the two boots.
func (n *baked) checkSecond(t *testing.T, first, second seen) {
	t.Helper()
	for _, what := range []string{"extension", "images", "etc", "machine", "cluster", "ignition", "root", "failed", "sealed slots"} {
		if first[what] != second[what] {
			path := filepath.Join(n.lab.Artifacts, what+"-differs.txt")
			must(t, os.WriteFile(path, fmt.Appendf(nil, "%s\n\n=== second boot\n%s\n", first[what], second[what]), 0o600))
			t.Errorf("the second boot changed %s:\n%s", what, changed(first[what], second[what]))
		}
	}
	// What nobody refers to may go; nothing comes.
	had := strings.Split(first["contents"], "\n")
	for line := range strings.SplitSeq(second["contents"], "\n") {
		if !slices.Contains(had, line) {
			t.Errorf("the second boot added %s to containerd's contents", line)
		}
	}
	if n.Prints("imgforge: Ignition is done")(t.Context()) == nil {
		t.Error("Ignition ran at the second boot, too")
	}
}

// changed are the lines that only one of two texts has.
func changed(before, after string) string {
	var out strings.Builder
	was, is := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range was {
		if !slices.Contains(is, line) {
			fmt.Fprintln(&out, "-", line)
		}
	}
	for _, line := range is {
		if !slices.Contains(was, line) {
			fmt.Fprintln(&out, "+", line)
		}
	}
	return out.String()
}
