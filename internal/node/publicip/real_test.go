package publicip_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/node"
	"github.com/imgforge/imgforge/internal/node/publicip"
	"github.com/imgforge/imgforge/internal/node/step"
	"github.com/imgforge/imgforge/internal/scaleway/fake"
	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/machine"
)

// helper is the name under which this program is the helper of a node.
const helper = "imgforge-node"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != helper {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if root := os.Getenv("IMGFORGE_TEST_ROOT"); root != "" && os.Args[1] == "publicip" { // as in the helper, at the pace of a test
		log := &step.Log{Root: root, Stderr: os.Stderr, Now: time.Now}
		if err := publicip.Run(ctx, publicip.Options{Root: root, Report: log, URL: os.Getenv("SCW_API_URL"),
			Pace: publicip.Pace{Master: time.Second, Other: time.Second, Grace: 3 * time.Second}}); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return
	}
	os.Exit(node.Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const (
	edge = "203.0.113.10" // the first that the fake reserves
	file = `{name: a, platform: {provider: scaleway, zone: fr-par-1, scaleway: {publicIPKeyRef: ip-key}}, network: {mesh: none, cidr: 10.78.0.0/24, interface: lan},
	endpoint: {mode: local}, roles: {master: {count: 1, reserve: 0}, proxy: {count: 2, publicIP: ` + edge + `}}}`
)

// proxy is a node in a network namespace of its own.
type proxy struct {
	name, ns, root, log string
	stop                map[string]func()
}

type rig struct {
	api     *fake.API
	proxies []*proxy
	program string
}

// Two proxies lose one another: both are master then, and the address is at exactly
// one. It stays at that one when they meet, moves when its keepalived or its haproxy
// ends, and is back after a helper was killed. Keepalived and its hook are real.
func TestAddressFollowsTheMaster(t *testing.T) {
	r := newRig(t)
	one, two := r.proxies[0], r.proxies[1]
	for _, p := range r.proxies {
		p.run(t, r, "haproxy")
		p.run(t, r, "publicip")
		p.run(t, r, "keepalived")
	}
	r.settles(t, one, two)
	before := r.api.Moves()
	cut(t, one, two)
	await(t, r, "both are master", func() bool { return one.vrrp() == "MASTER" && two.vrrp() == "MASTER" })
	r.stays(t, one)
	t.Logf("cut off from each other, the two moved the address %d times", r.api.Moves()-before)
	heal(t, one, two)
	await(t, r, "one of them steps back", func() bool { return one.vrrp() == "MASTER" && two.vrrp() == "BACKUP" })
	r.stays(t, one)

	one.stop["haproxy"]()
	r.stays(t, two)
	one.run(t, r, "haproxy")
	await(t, r, "the first proxy is well again", func() bool { return one.vrrp() == "BACKUP" })
	r.stays(t, two)

	two.stop["publicip"]() // killed, the provider fails, and another one becomes master meanwhile
	two.stop["keepalived"]()
	r.stays(t, one)
	two.run(t, r, "keepalived")
	two.run(t, r, "publicip")
	r.stays(t, one)
	r.secretsStayIn(t)
}

// settles waits until the only master has the address.
func (r *rig) settles(t *testing.T, all ...*proxy) (holder *proxy) {
	t.Helper()
	await(t, r, "one master that has the address", func() bool {
		masters := 0
		for _, p := range all {
			if p.vrrp() == "MASTER" {
				masters, holder = masters+1, p
			}
		}
		return masters == 1 && r.api.Holder(edge) == holder.name
	})
	return holder
}

// stays waits until p has the address and keeps it for some looks of both helpers.
func (r *rig) stays(t *testing.T, p *proxy) {
	t.Helper()
	await(t, r, p.name+" has the address", func() bool { return r.api.Holder(edge) == p.name })
	await(t, r, p.name+" has the address for good", func() bool {
		moves, calls := r.api.Moves(), r.api.Calls()
		for range 200 {
			if r.api.Calls() >= calls+4 {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return r.api.Calls() >= calls+4 && r.api.Moves() == moves && r.api.Holder(edge) == p.name
	})
}

// secretsStayIn looks for the key where others can read.
func (r *rig) secretsStayIn(t *testing.T) {
	t.Helper()
	for _, p := range r.proxies {
		info, err := os.Stat(filepath.Join(p.root, artifact.PublicIPPath))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p.name, info, err)
		}
		if text, err := os.ReadFile(p.log); err != nil || strings.Contains(string(text), fake.SecretKey) {
			t.Errorf("the log of %s holds the key (%v)", p.name, err)
		}
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		for _, f := range []string{name, filepath.Join(filepath.Dir(name), "environ")} {
			if text, _ := os.ReadFile(f); strings.Contains(string(text), fake.SecretKey) {
				t.Errorf("%s holds the key", f)
			}
		}
	}
}

// newRig is two proxies on a cable, each with one to the provider as well.
func newRig(t *testing.T) *rig {
	testtool.Root(t)
	r := &rig{api: fake.New(), program: programIn(t)}
	faults := [...]fake.Fault{fake.TooMany, fake.HungUpAfter, fake.Broken, fake.HalfWritten, fake.BrokenAfter, fake.Transient, fake.HungUp}
	r.api.Fault = func(n int, _ *http.Request) fake.Fault { // the provider has a bad day
		if n%5 != 0 {
			return fake.None
		}
		return faults[n/5%len(faults)]
	}
	c := machine.New(t, file)
	if _, err := c.Store.SetSecret(t.Context(), "ip-key", []byte(fake.SecretKey+"\n")); err != nil {
		t.Fatal(err)
	}
	provider := namespace(t, "provider")
	ip(t, provider, "link add net type bridge")
	ip(t, provider, "link set net up")
	ip(t, provider, "address add 10.77.0.1/24 dev net")
	ip(t, provider, "address add 169.254.42.42/32 dev net")
	from := map[string]string{}
	for i, n := range c.Plan.NodesOf("proxy") {
		p := &proxy{name: n.Name, ns: namespace(t, n.Name), stop: map[string]func(){}}
		p.root = c.Root(t, n.Name, "/usr/bin/imgforge-node check proxy --config ", r.program+" check proxy --config ROOT",
			"/usr/bin/imgforge-node notify --config ", r.program+" notify --root ROOT --config ROOT")
		p.log = filepath.Join(p.root, "log")
		conf := filepath.Join(p.root, "/etc/imgforge/keepalived/keepalived.conf")
		text, err := os.ReadFile(conf)
		if err != nil {
			t.Fatal(err)
		}
		machine.Write(t, p.root, "/etc/imgforge/keepalived/keepalived.conf", strings.ReplaceAll(string(text), "ROOT", p.root), 0o644)
		address := fmt.Sprintf("10.77.0.%d", 11+i)
		ip(t, provider, fmt.Sprintf("link add port%d type veth peer name net netns %s", i, p.ns))
		ip(t, provider, fmt.Sprintf("link set port%d up master net", i))
		ip(t, p.ns, "address add "+address+"/24 dev net")
		ip(t, p.ns, "link set net up")
		ip(t, p.ns, "route add 169.254.42.42 dev net")
		r.api.Stranger(n.Name)
		from[address] = n.Name
		r.proxies = append(r.proxies, p)
		if i == 1 {
			ip(t, p.ns, "link add lan type veth peer name lan netns "+r.proxies[0].ns)
		}
	}
	for i, n := range c.Plan.NodesOf("proxy") {
		ip(t, r.proxies[i].ns, "address add "+n.Address+"/24 dev lan")
		ip(t, r.proxies[i].ns, "link set lan up")
	}
	if got := r.api.Reserve(); got != edge {
		t.Fatalf("reserved %s", got)
	}
	serve(t, provider, "10.77.0.1:80", r.api)
	serve(t, provider, "169.254.42.42:80", r.api.Metadata(from))
	return r
}

// programIn puts this program, as the helper, where keepalived's checks of scripts let
// it be: below folders that only root may write.
func programIn(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/run", "imgforge-publicip-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, helper)
	if err := os.WriteFile(path, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// run starts one of a node's programs; stop ends it as a power cut does.
func (p *proxy) run(t *testing.T, r *rig, what string) {
	t.Helper()
	var cmd *exec.Cmd
	switch what {
	case "haproxy": // the check asks nothing of it but this
		listener := listen(t, p.ns, fmt.Sprintf("127.0.0.1:%d", artifact.HAProxyAlivePort))
		server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go server.Serve(listener)
		p.stop[what] = func() { server.Close() }
		t.Cleanup(p.stop[what])
		return
	case "publicip":
		cmd = exec.Command("ip", "netns", "exec", p.ns, r.program, what)
		cmd.Env = append(os.Environ(), "IMGFORGE_TEST_ROOT="+p.root, "SCW_API_URL=http://10.77.0.1", "SCW_DEBUG=true")
	case "keepalived":
		pid := filepath.Join(p.root, "keepalived.pid")
		os.Remove(pid)
		cmd = exec.Command("ip", "netns", "exec", p.ns, testtool.Path(t, "keepalived"), "--vrrp", "--dont-fork", "--log-console", "--log-detail",
			"--pid", pid, "--vrrp_pid", pid+".vrrp", "--use-file", filepath.Join(p.root, "/etc/imgforge/keepalived/keepalived.conf"))
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	p.stop[what] = func() {
		if !ended {
			ended = true
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
			log.Close()
		}
	}
	t.Cleanup(p.stop[what])
}

// vrrp is what the hook noted last.
func (p *proxy) vrrp() string {
	text, _ := os.ReadFile(filepath.Join(p.root, "/run/imgforge/vrrp/imgforge.json"))
	for _, s := range []string{"MASTER", "BACKUP", "FAULT"} {
		if strings.Contains(string(text), s) {
			return s
		}
	}
	return ""
}

// cut loses every packet between the two, and leaves the link up.
func cut(t *testing.T, all ...*proxy) {
	t.Helper()
	for _, p := range all {
		p.nft(t, "add table inet cut; add chain inet cut in { type filter hook input priority 0; }; add rule inet cut in iifname lan drop")
	}
}

func heal(t *testing.T, all ...*proxy) {
	t.Helper()
	for _, p := range all {
		p.nft(t, "delete table inet cut")
	}
}

func (p *proxy) nft(t *testing.T, rules string) {
	t.Helper()
	if out, err := exec.Command("ip", "netns", "exec", p.ns, testtool.Path(t, "nft"), rules).CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

func await(t *testing.T, r *rig, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if done() {
			return
		}
	}
	for _, p := range r.proxies {
		text, _ := os.ReadFile(p.log)
		t.Logf("%s is %s:\n%s", p.name, p.vrrp(), text)
	}
	t.Fatalf("this does not come: %s; the address is at %q", what, r.api.Holder(edge))
}

func namespace(t *testing.T, name string) string {
	t.Helper()
	ns := fmt.Sprintf("imgforge-ip-%d-%s", os.Getpid(), name)
	if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
		testtool.Skip(t, "network namespaces are needed: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", ns).CombinedOutput(); err != nil {
			t.Errorf("delete namespace: %v: %s", err, out)
		}
	})
	ip(t, ns, "link set lo up")
	return ns
}

func ip(t *testing.T, ns, words string) {
	t.Helper()
	if out, err := exec.Command("ip", append([]string{"-n", ns}, strings.Fields(words)...)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", words, err, out)
	}
}

func serve(t *testing.T, ns, at string, h http.Handler) {
	t.Helper()
	server := &http.Server{Handler: h}
	go server.Serve(listen(t, ns, at))
	t.Cleanup(func() { server.Close() })
}

// listen opens a socket inside the namespace, where it stays.
func listen(t *testing.T, ns, at string) net.Listener {
	t.Helper()
	type result struct {
		net.Listener
		err error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its namespace
		handle, err := os.Open(filepath.Join("/run/netns", ns))
		if err != nil {
			done <- result{err: err}
			return
		}
		defer handle.Close()
		if err := unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at)))
		done <- result{l, err}
	}()
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	return got.Listener
}
