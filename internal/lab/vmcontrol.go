package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/imgforge/imgforge/internal/forge"
)

func controlPlaneVM() Topology {
	return Topology{
		Name:    "vm",
		About:   "one whole control plane in a virtual machine: Ignition in the initrd from fw_cfg, role payload, cgroup v2, the systemd driver, and a second boot",
		Kind:    Machine,
		Cluster: clusterFile("vm"),
		Play: func(ctx context.Context, t *Trial) error {
			name := t.existing()[0]
			// The role's payload serves every master: the boot loader says which this one is.
			return t.playMachine(ctx, name, MachineOptions{Payload: t.secret("roles/master.ign"), Arguments: []string{"imgforge.node=" + name}})
		},
	}
}

func driveVM() Topology {
	return Topology{
		Name:    "vm-config-2",
		About:   "the same machine from the node's payload on a config-2 drive, to Ready",
		Kind:    Machine,
		Cluster: clusterFile("vm"),
		Play: func(ctx context.Context, t *Trial) error {
			name := t.existing()[0]
			api, v, err := t.bootMachine(ctx, name, MachineOptions{Drive: t.secret("drives/" + name + ".iso")})
			if err != nil {
				return err
			}
			t.checkBoot(ctx, api, v)
			return nil
		},
	}
}

// Bounds of machines whose processor may be emulated, on a machine with other things to do.
const (
	boundMachine      = 15 * time.Minute
	boundMachineCheck = 4 * time.Minute
)

// hostAddress is where the machine that runs qemu is on the network of a single machine.
const hostAddress = "10.0.2.2"

// playMachine follows one machine through its first and its second boot.
func (t *Trial) playMachine(ctx context.Context, name string, o MachineOptions) error {
	api, v, err := t.bootMachine(ctx, name, o)
	if err != nil {
		return err
	}
	t.checkMachine(ctx, api, v)
	t.keepMachines(ctx)
	t.Phase("after a power cut")
	if err := errors.Join(v.PowerOff(ctx), v.PowerOn(ctx)); err != nil {
		return err
	}
	if err := t.followMachine(ctx, api, v); err != nil {
		return err
	}
	t.Check(ctx, "the second boot asks for no Ignition", boundMachineCheck, func(context.Context) (string, error) {
		if v.Prints("Ignition (files)")(ctx) == nil {
			return "", errors.New("the console shows a stage of Ignition")
		}
		return "no stage of Ignition on the console", nil
	})
	t.checkPodsOnMachine(ctx, api)
	return nil
}

// bootMachine powers one machine on, with a way for an operator to its API, and
// follows it until its node is Ready.
func (t *Trial) bootMachine(ctx context.Context, name string, o MachineOptions) (*operator, *VM, error) {
	system, err := t.machineSystem(ctx)
	if err != nil {
		return nil, nil, err
	}
	port, err := freePort("tcp4")
	if err != nil {
		return nil, nil, err
	}
	api, err := t.outside(ctx, port)
	if err != nil {
		return nil, nil, err
	}
	wire := t.Switch()
	cable, err := wire.Port()
	if err != nil {
		return nil, nil, err
	}
	if err := t.clocks(wire); err != nil {
		return nil, nil, err
	}
	made, _ := t.Plan.Node(name)
	o.Name, o.System, o.Cores, o.MiB = name, system, 2, 4096
	o.Networks = [][]string{{cable, fmt.Sprintf("user,net=%s,host=%s,restrict=on,hostfwd=tcp:%s-%s:%d",
		t.Plan.Network.CIDR, hostAddress, loopback(port), made.Address, t.Plan.Endpoint.Port)}}
	t.result.Nodes = []string{name}
	t.Phase("first boot")
	v, err := t.power(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	return api, v, t.followMachine(ctx, api, v)
}

// clocks plugs in the time servers that the cluster file names by address.
func (t *Trial) clocks(wire *Switch) error {
	for _, server := range t.Plan.Settings.NTP {
		if address, err := netip.ParseAddr(server); err == nil && address.Is4() {
			if err := wire.Clock(address); err != nil {
				return err
			}
		}
	}
	return nil
}

// outside is an operator on the machine that runs qemu, whom a port leads to the API.
func (t *Trial) outside(ctx context.Context, port uint16) (*operator, error) {
	o := &operator{trial: t, kubeconfig: filepath.Join(t.work, "cluster", "kubeconfig")}
	data, _, err := t.App.Kubeconfig(ctx, forge.KubeconfigOptions{Source: t.Source, User: "lab", For: 12 * time.Hour})
	if err != nil {
		return nil, fmt.Errorf("imgforge kubeconfig: %w", err)
	}
	if err := o.parse(data); err != nil {
		return nil, err
	}
	// The address of the server alone differs: qemu's port leads there.
	text := strings.Replace(string(data), o.server, fmt.Sprintf("https://%s", loopback(port)), 1)
	if err := o.parse([]byte(text)); err != nil {
		return nil, err
	}
	return o, os.WriteFile(o.kubeconfig, []byte(text), 0o600)
}

// followMachine waits for what a machine shows, in the order of its boot.
func (t *Trial) followMachine(ctx context.Context, api *operator, v *VM) error {
	ctx, cancel := context.WithTimeout(ctx, boundMachine)
	defer cancel()
	waits := []wait{
		{"identity claimed", v.runs("test", "-e", "/var/lib/imgforge/claimed")},
		{"containerd runs", v.runs("systemctl", "is-active", "containerd.service")},
		{"kubelet is healthy", v.runs("curl", "-sf", "http://127.0.0.1:10248/healthz")},
		{"etcd is ready", v.runs("curl", "-sf", "http://127.0.0.1:2381/readyz")},
		{"the API answers at its endpoint", slowly(func(ctx context.Context) error { return api.through(ctx, "", api.server, "/readyz", nil) })},
		{"node is Ready", slowly(func(ctx context.Context) error { return v.isReady(ctx, api) })},
	}
	if v.boots == 1 {
		waits = append([]wait{{"Ignition is done, in the initrd", v.Prints("Ignition Complete")}}, waits...)
	}
	for _, w := range waits {
		if err := t.Reach(ctx, v.Name, v.PoweredOn, w.what, w.look); err != nil {
			return err
		}
	}
	return nil
}

// slowPause is how long the lab leaves a machine alone before it looks again.
const slowPause = 4 * time.Second

// slowly is a check that does not look again at once.
func slowly(check func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(slowPause):
		}
		return err
	}
}

// runs is a check that a program succeeds inside the machine.
func (v *VM) runs(args ...string) func(context.Context) error {
	return slowly(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		_, err := v.Run(ctx, args...)
		return err
	})
}

// isReady asks the API for what the node said of itself since its power-on.
func (v *VM) isReady(ctx context.Context, api *operator) error {
	var list nodeList
	if err := api.through(ctx, "", api.server, "/api/v1/nodes", &list); err != nil {
		return err
	}
	return v.readyIn(list)
}

// configz is what the lab reads of the kubelet's configuration.
type configz struct {
	KubeletConfig struct {
		CgroupDriver          string `json:"cgroupDriver"`
		ProtectKernelDefaults bool   `json:"protectKernelDefaults"`
	} `json:"kubeletconfig"`
}

// production tells whether the kubelet runs with what payloads give it, on the cgroups that it wants.
func (v *VM) production(ctx context.Context, api *operator) (string, error) {
	hierarchy, err := v.Run(ctx, "stat", "--file-system", "--format=%T", "/sys/fs/cgroup")
	if err != nil {
		return "", err
	}
	scopes, err := v.Run(ctx, "systemctl", "list-units", "--type=scope", "--state=running", "--no-legend", "--plain", "cri-containerd-*")
	if err != nil {
		return "", err
	}
	out, err := api.kubectl(ctx, "get", "--raw", "/api/v1/nodes/"+v.Name+"/proxy/configz")
	if err != nil {
		return "", err
	}
	var runs configz
	if err := json.Unmarshal([]byte(out), &runs); err != nil {
		return "", err
	}
	hierarchy = strings.TrimSpace(hierarchy)
	if c := runs.KubeletConfig; hierarchy != "cgroup2fs" || c.CgroupDriver != "systemd" || !c.ProtectKernelDefaults || scopes == "" {
		return "", fmt.Errorf("hierarchy %s, driver %q, kernel defaults protected: %t, scopes of containers: %q", hierarchy, c.CgroupDriver, c.ProtectKernelDefaults, scopes)
	}
	return fmt.Sprintf("%s; the kubelet's configz says systemd, and keeps the kernel's settings; %s of systemd", hierarchy, counted(strings.Count(scopes, "\n"), "container scope")), nil
}
