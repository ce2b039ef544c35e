package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MachineOptions say what a virtual machine is made of.
type MachineOptions struct {
	// Name is the lab's own, for files and reports.
	Name   string
	System System
	// Payload is a file that qemu's firmware interface serves, or Drive one that is
	// attached as a disk, or Disk an image that boots by itself, in the place of System's.
	// One of them must be set.
	Payload, Drive, Disk string
	// Devices are qemu's arguments for what is attached besides, at every boot.
	Devices []string
	// Cores and MiB are what it sees.
	Cores, MiB int
	// Networks are values of qemu's -netdev, without an id, for each interface: of
	// several, whatever reaches one reaches all.
	Networks [][]string
	// Arguments are for the kernel, at every boot.
	Arguments []string
	// Ahead is by how much its clock is ahead of the one of the machine that runs it.
	Ahead time.Duration
}

// VM is a machine of its own: qemu, run by an ordinary user.
type VM struct {
	Name string
	// PoweredOn is when qemu started.
	PoweredOn time.Time

	lab   *Lab
	made  MachineOptions
	dir   string // its disk
	boots int

	// While it runs:
	cmd    *exec.Cmd
	ended  chan struct{}
	socket string // of the agent inside
}

// Machine makes a virtual machine and powers it on.
func (l *Lab) Machine(ctx context.Context, o MachineOptions) (*VM, error) {
	v := &VM{Name: o.Name, lab: l, made: o, dir: filepath.Join(l.work, o.Name)}
	if given := slices.DeleteFunc([]string{o.Payload, o.Drive, o.Disk}, func(s string) bool { return s == "" }); len(given) != 1 {
		return nil, fmt.Errorf("machine %s needs a payload, a drive or a disk", o.Name)
	}
	if err := os.RemoveAll(v.dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return nil, err
	}
	layer := func(below, path string, size ...string) error {
		_, err := l.run(ctx, "qemu-img", append([]string{"create", "-q", "-f", "qcow2", "-F", "raw", "-b", below, path}, size...)...)
		return err
	}
	// Larger than what it was made for, as those of providers are.
	if err := layer(cmp.Or(o.Disk, o.System.Base), v.disk(), machineSize); err != nil {
		return nil, err
	}
	if o.Disk == "" {
		if err := layer(o.System.Lab, v.labDisk()); err != nil {
			return nil, err
		}
	}
	// A socket's path is short by law, and the cache's may be long.
	sockets, err := os.MkdirTemp("", "imgforge-lab-")
	if err != nil {
		return nil, err
	}
	v.socket = filepath.Join(sockets, "agent")
	l.later("sockets of "+v.Name, func(context.Context) error { return os.RemoveAll(sockets) })
	l.later("machine "+v.Name, v.PowerOff)
	return v, v.PowerOn(ctx)
}

// machineSize is that of a machine's first disk.
const machineSize = "12G"

func (v *VM) disk() string    { return filepath.Join(v.dir, "disk.qcow2") }
func (v *VM) labDisk() string { return filepath.Join(v.dir, "lab.qcow2") }

// PowerOn boots the machine: the first time with Ignition, later with what its disk keeps.
func (v *VM) PowerOn(context.Context) error {
	if v.cmd != nil {
		return fmt.Errorf("machine %s runs already", v.Name)
	}
	qemu, err := v.lab.Tool("qemu-system-x86_64")
	if err != nil {
		return err
	}
	out, err := openConsole(v.artifact("console.log"), v.boots+1)
	if err != nil {
		return err
	}
	cmd := exec.Command(qemu, v.arguments()...)
	cmd.Stdout, cmd.Stderr = out, out
	// An interrupt from the terminal is the lab's alone: it still asks the machine for its journal.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ended := make(chan struct{})
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("machine %s: %w", v.Name, err), out.Close())
	}
	v.PoweredOn, v.cmd, v.ended, v.boots = time.Now(), cmd, ended, v.boots+1
	go func() {
		cmd.Wait() // all that it printed is written by then
		out.Close()
		close(ended)
	}()
	return nil
}

// arguments are qemu's.
func (v *VM) arguments() []string {
	o := v.made
	args := append(o.System.accelerator(), "-display", "none", "-nodefaults", "-no-reboot", "-no-user-config",
		"-name", v.Name, "-smp", strconv.Itoa(o.Cores), "-m", strconv.Itoa(o.MiB), "-serial", "stdio", "-monitor", "none",
		"-device", "virtio-rng-pci", "-drive", "file="+comma(v.disk())+",if=virtio,cache=unsafe",
		"-chardev", "socket,id=agent,server=on,wait=off,path="+comma(v.socket),
		"-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name="+o.port())
	if o.Ahead != 0 {
		args = append(args, "-rtc", "base="+time.Now().Add(o.Ahead).UTC().Format("2006-01-02T15:04:05"))
	}
	if o.Disk == "" {
		args = append(args, "-drive", "file="+comma(v.labDisk())+",if=virtio,cache=unsafe",
			"-kernel", o.System.Kernel, "-initrd", o.System.Initrd, "-append", strings.Join(v.kernelArguments(), " "))
	}
	args = append(args, o.Devices...)
	switch {
	case o.Disk != "":
	case o.Drive != "":
		args = append(args, "-drive", "file="+comma(o.Drive)+",if=virtio,format=raw,readonly=on")
	case v.boots == 0:
		args = append(args, "-fw_cfg", "name=opt/com.coreos/config,file="+comma(o.Payload))
	}
	if len(o.Networks) == 0 {
		args = append(args, "-nic", "none")
	}
	for i, networks := range o.Networks {
		id := "net" + strconv.Itoa(i)
		for j, network := range networks {
			part := fmt.Sprintf("%s-%d", id, j)
			args = append(args, "-netdev", network+",id="+part, "-netdev", fmt.Sprintf("hubport,hubid=%d,netdev=%s,id=%s-hub", i, part, part))
		}
		args = append(args, "-netdev", fmt.Sprintf("hubport,hubid=%d,id=%s", i, id), "-device", "virtio-net-pci,netdev="+id+",mac="+macOf(v.Name, i))
	}
	return args
}

// port is what the lab's way into a machine is called inside.
func (o MachineOptions) port() string {
	if o.Disk != "" {
		return "imgforge.lab" // who answers there stands in the cluster file of the disk
	}
	return "org.qemu.guest_agent.0"
}

// kernelArguments are those of the base's boot loader, which asks for Ignition at the
// first boot alone, and the lab's.
func (v *VM) kernelArguments() []string {
	args := slices.Concat(v.made.System.Arguments, []string{"net.ifnames=0", "mitigations=off", "audit=0", "panic=-1"}, v.made.Arguments)
	if !v.made.System.KVM {
		args = append(args, emulated()...)
	}
	if v.boots == 0 {
		args = append(args, "ignition.firstboot")
	}
	return args
}

// emulated are arguments for a kernel whose processor is emulated. It would not
// trust the time stamp counter, and leave the emulator for every look at the
// clock; and its page tables would have a level more to walk.
func emulated() []string { return []string{"tsc=reliable", "no5lvl"} }

// comma is a path as qemu's options take it.
func comma(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// macOf is a hardware address that no other of the lab's machines has on its networks.
func macOf(name string, port int) string {
	sum := keyOf([]string{name, strconv.Itoa(port)})
	return "52:54:00:" + sum[0:2] + ":" + sum[2:4] + ":" + sum[4:6]
}

// PowerOff cuts the power: qemu ends at once. A machine that is off stays so.
func (v *VM) PowerOff(ctx context.Context) error {
	if v.cmd == nil {
		return nil
	}
	if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-v.ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	v.cmd = nil
	return nil
}

// Console is what the machine has printed since the lab made it, secrets never among it.
func (v *VM) Console() (string, error) {
	data, err := os.ReadFile(v.artifact("console.log"))
	return string(data), err
}

// Prints is a check that the console of the running boot holds a text.
func (v *VM) Prints(text string) func(context.Context) error {
	return func(context.Context) error {
		said, err := v.Console()
		if err != nil {
			return err
		}
		if at := strings.LastIndex(said, powerOnLine); at >= 0 {
			said = said[at:]
		}
		if !strings.Contains(said, text) {
			return fmt.Errorf("its console does not hold %q: see %s", text, v.artifact("console.log"))
		}
		return nil
	}
}

func (v *VM) artifact(name string) string { return filepath.Join(v.lab.Artifacts, v.Name+"-"+name) }
