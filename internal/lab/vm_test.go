package lab

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the base's boot loader says is said, and Ignition is asked for once.
func TestKernelAsksForIgnitionOnce(t *testing.T) {
	base := []string{"root=LABEL=ROOT", "ignition.platform.id=qemu"}
	v := &VM{Name: "a", made: MachineOptions{Payload: "a,b.ign", System: System{Arguments: base}}, dir: "/disks"}
	first := v.kernelArguments()
	v.boots++
	second := v.kernelArguments()
	if !slices.Contains(first, "ignition.firstboot") || slices.Contains(second, "ignition.firstboot") {
		t.Errorf("first boot %q, second %q: want ignition.firstboot in the first alone", first, second)
	}
	for _, arguments := range [][]string{first, second} {
		if !slices.Equal(arguments[:2], base) || slices.Contains(arguments, "$first") {
			t.Errorf("the kernel is told %q, want what the boot loader says first: %q", arguments, base)
		}
	}
}

// A comma in a path must not begin an option of qemu's.
func TestPathsWithCommas(t *testing.T) {
	v := &VM{Name: "a", made: MachineOptions{Payload: "/a,b/master.ign"}, dir: "/x,y"}
	args := strings.Join(v.arguments(), " ")
	for _, want := range []string{"file=/a,,b/master.ign", "file=/x,,y/disk.qcow2,if=virtio"} {
		if !strings.Contains(args, want) {
			t.Errorf("qemu is started with %s, want %s in it", args, want)
		}
	}
}

// A disk that boots by itself gets neither kernel nor payload nor, when none is named, a
// network; what is attached besides is.
func TestDiskBootsByItself(t *testing.T) {
	v := &VM{Name: "a", made: MachineOptions{Disk: "/baked.raw", Devices: []string{"-fw_cfg", "name=opt/x,file=/y"}}, dir: "/disks"}
	args := v.arguments()
	for _, never := range []string{"-kernel", "-initrd", "-append", "-netdev"} {
		if slices.Contains(args, never) {
			t.Errorf("qemu is started with %s: %q", never, args)
		}
	}
	line := strings.Join(args, " ")
	for _, want := range []string{"-nic none", "-fw_cfg name=opt/x,file=/y", "file=/disks/disk.qcow2,if=virtio", "name=imgforge.lab"} {
		if !strings.Contains(line, want) {
			t.Errorf("qemu is started with %s, want %s in it", line, want)
		}
	}
}

// The disk file of one machine is no other's, and neither is its hardware address.
func TestHardwareAddresses(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"master-1", "master-2", "master-3"} {
		for port := range 2 {
			mac := macOf(name, port)
			if hw, err := net.ParseMAC(mac); err != nil || hw[0]&1 != 0 {
				t.Errorf("%s is not the address of one machine: %v", mac, err)
			}
			if seen[mac] != "" {
				t.Errorf("%s and %s have the same hardware address", seen[mac], name)
			}
			seen[mac] = name
		}
	}
}

// Each line carries the seconds since its own power-on, and a check looks at the last boot alone.
func TestConsoleOfTheLastBoot(t *testing.T) {
	v := &VM{Name: "a", lab: &Lab{Config: Config{Artifacts: t.TempDir()}}}
	for boot, text := range []string{"Ignition (files)\r\nlogin", "\r\nhello\r\n"} {
		c, err := openConsole(v.artifact("console.log"), boot+1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	said, err := v.Console()
	if err != nil || !strings.Contains(said, "0.0 Ignition (files)\n") || !strings.Contains(said, "login\n") {
		t.Errorf("the console is %q, %v: want whole lines with seconds", said, err)
	}
	if err := v.Prints("hello")(t.Context()); err != nil {
		t.Error(err)
	}
	if v.Prints("Ignition")(t.Context()) == nil {
		t.Error("what an earlier boot printed counts for this one")
	}
}

// Frames reach every machine but their sender, and strangers' frames nobody.
func TestSwitch(t *testing.T) {
	l := &Lab{}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	wire := l.Switch()
	var machines []*net.UDPConn
	var ports []netip.AddrPort
	for range 3 {
		netdev, err := wire.Port()
		if err != nil {
			t.Fatal(err)
		}
		udp, local, found := strings.Cut(strings.TrimPrefix(netdev, "socket,udp="), ",localaddr=")
		if !found {
			t.Fatalf("qemu is told %q", netdev)
		}
		ports = append(ports, netip.MustParseAddrPort(udp))
		machine, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(local)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { machine.Close() })
		machines = append(machines, machine)
	}
	stranger, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback(0)))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	stranger.WriteToUDPAddrPort([]byte("strange"), ports[0])
	if _, err := machines[0].WriteToUDPAddrPort([]byte("frame"), ports[0]); err != nil {
		t.Fatal(err)
	}
	for i, m := range machines[1:] {
		if got := receives(t, m); got != "frame" {
			t.Errorf("machine %d received %q", i+1, got)
		}
	}
	if _, err := machines[1].WriteToUDPAddrPort([]byte("answer"), ports[1]); err != nil {
		t.Fatal(err)
	}
	if got := receives(t, machines[0]); got != "answer" {
		t.Errorf("the first machine received %q, want the answer and nothing of its own before it", got)
	}
}

func receives(t *testing.T, conn *net.UDPConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, maxFrame)
	n, err := conn.Read(frame)
	if err != nil {
		t.Fatal(err)
	}
	return string(frame[:n])
}

// A pod without a kubelet has the image, the command and the mounts of its manifest.
func TestPodCommands(t *testing.T) {
	manifest, err := os.ReadFile(filepath.Join("testdata", "pod.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	commands, err := podCommands(manifest)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(commands[len(commands)-1], " ")
	want := "ctr --namespace k8s.io run --detach --net-host --log-uri file:///var/log/lab-keepalived.log --cap-add CAP_NET_ADMIN --cap-add CAP_NET_RAW " +
		"--mount type=tmpfs,src=tmpfs,dst=/run,options=rw --mount type=bind,src=/run/imgforge,dst=/run/imgforge,options=rbind:rw " +
		"--mount type=bind,src=/etc/imgforge/keepalived,dst=/etc/imgforge/keepalived,options=rbind:ro " +
		"docker.io/imgforge/keepalived:2.2.7 lab-keepalived keepalived --vrrp --use-file /etc/imgforge/keepalived/keepalived.conf"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if made := commands[len(commands)-2]; !slices.Equal(made, []string{"mkdir", "-p", "/run/imgforge"}) {
		t.Errorf("before it runs %q, want the folder that the manifest lets a kubelet make", made)
	}
	if _, err := podCommands([]byte(strings.ReplaceAll(string(manifest), "2.2.7", "${VERSION}"))); err == nil {
		t.Error("a manifest that was never filled runs")
	}
}

// A machine of a lab that was killed ends by its disk's folder; one of another lab goes on.
func TestEndMachines(t *testing.T) {
	ours, others := t.TempDir(), t.TempDir()
	start := func(dir string) *exec.Cmd {
		cmd := exec.Command("sh")
		cmd.Args = []string{"/usr/bin/qemu-system-x86_64", "-c", "read line", "sh", "file=" + dir + "/disk.qcow2,if=virtio"}
		if _, err := cmd.StdinPipe(); err != nil { // open until the test ends
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	orphan, neighbour := start(ours), start(others)
	if err := endMachines(ours); err != nil {
		t.Fatal(err)
	}
	if err := orphan.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the orphan ended with %v, want killed", err)
	}
	if err := neighbour.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the neighbour: %v, want it alive", err)
	}
	neighbour.Process.Kill()
	neighbour.Wait()
}
