package node

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// provokedClaim claims a prepared machine and returns what its operator sees.
func provokedClaim(t *testing.T, hostname string, prepare func(m *machine)) string {
	m := newMachine(t, hostname)
	prepare(m)
	if err := m.claim(); err != nil {
		m.log.Failed(asFailure(err))
	}
	return m.complaints()
}

// claimTexts makes each code of the claim happen for real.
func claimTexts(t *testing.T) map[int]string {
	key := [32]byte{1}
	claim := func(hostname string, prepare func(m *machine)) string { return provokedClaim(t, hostname, prepare) }
	return map[int]string{
		bootcode.NothingToClaim: claim("web-7", func(*machine) {}),
		bootcode.NoSlot: claim("web-7.example.org", func(m *machine) {
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
			m.write("/sys/class/net/eth0/address", "52:54:00:12:34:56\n")
		}),
		bootcode.UnknownNode: claim("worker-1", func(m *machine) {
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
			m.write("/proc/cmdline", "imgforge.node=worker-9")
		}),
		bootcode.TwoSlots: claim("worker-1", func(m *machine) {
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
			m.write("/proc/cmdline", "imgforge.node=worker-2")
		}),
		bootcode.ClaimDamaged: claim("worker-1", func(m *machine) {
			m.write(claimFile, strings.Replace(m.seal(slotOf(t, "worker-1"), key), "A", "B", 1))
		}),
		bootcode.ClaimWrong: claim("worker-1", func(m *machine) {
			m.write("/proc/cmdline", "imgforge.claim="+m.seal(slotOf(t, "worker-1"), key))
			m.seal(slotOf(t, "worker-1"), [32]byte{2})
		}),
		bootcode.SlotDamaged: claim("worker-1", func(m *machine) {
			m.carry(slotOf(t, "worker-1"))
			text := m.read(artifact.SlotDir + "/worker-1.slot")
			m.write(artifact.SlotDir+"/worker-1.slot", text[:len(text)-10])
		}),
		bootcode.CannotWrite: claim("worker-1", func(m *machine) {
			s := slotOf(t, "worker-1")
			s.Files[2].User = "postgres"
			m.carry(s)
		}),
		bootcode.NameDiffers: claim("web-7", func(m *machine) { m.write(artifact.NodeFilePath, string(nodeJSON(t, "worker-1"))) }),
		bootcode.IdentityDamaged: claim("worker-1", func(m *machine) {
			m.write(artifact.ClaimedPath, `{"node": "worker-1"}`)
			m.write(artifact.NodeFilePath, string(nodeJSON(t, "worker-2")))
		}),
		bootcode.WipeIncomplete: claim("worker-1", func(m *machine) {
			m.write(artifact.NodeFilePath, string(nodeJSON(t, "worker-1")))
			m.write("/var/lib/cloud/instances/i-1/obj.pkl", "x")
			m.write("/etc/cloud", "not a folder")
		}),
	}
}

// endpointTexts does the same for what keepalived calls.
func endpointTexts(t *testing.T) map[int]string {
	check := func(run func(m *machine) error) string {
		m := newMachine(t, "master-1")
		return strings.ReplaceAll(fmt.Sprintln(run(m)), m.root, "")
	}
	return map[int]string{
		bootcode.EndpointDown: check(func(m *machine) error {
			ready := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "[-]etcd failed: reason withheld\nreadyz check failed", http.StatusInternalServerError)
			}))
			ready.StartTLS()
			defer ready.Close()
			gone := httptest.NewTLSServer(nil)
			gone.Close()
			return renamed(m.checkAgainst(ready, ready, gone).Endpoint(context.Background()), map[string]string{port(t, ready): "8443", port(t, gone): "6443"})
		}),
		bootcode.ProxyDown: check(func(m *machine) error {
			gone := httptest.NewServer(nil)
			gone.Close()
			c := m.checkAgainst(apiserver(t, 200), nil, gone)
			c.AlivePort = atoi(t, port(t, gone))
			return renamed(c.Proxy(context.Background()), map[string]string{port(t, gone): "8404"})
		}),
		bootcode.CheckUnable: check(func(m *machine) error {
			return Check{Root: m.root, Config: m.path(artifact.NodeFilePath)}.Endpoint(context.Background())
		}),
		bootcode.NotifyUnknown: check(func(m *machine) error { return Notify(m.root, []string{"INSTANCE", "../x", "MASTER"}) }),
		bootcode.NotifyUnrecorded: check(func(m *machine) error {
			m.write("/run/imgforge", "not a folder")
			return Notify(m.root, []string{"INSTANCE", "imgforge", "MASTER", "150"})
		}),
	}
}

// partText lets a part of the running helper end.
func partText(t *testing.T) string {
	var w words
	s := supervisor{report: &w}
	s.ended("status", once(t.Context(), part{"status", func(context.Context) error {
		return errors.New("listen tcp 192.168.66.11:9440: bind: address already in use")
	}}))
	return w.all() + "\n"
}

// renamed gives the ports of test servers the numbers they have on a node.
func renamed(err error, ports map[string]string) error {
	var f *bootcode.Failure
	if errors.As(err, &f) {
		for from, to := range ports {
			f.Why = strings.ReplaceAll(f.Why, ":"+from, ":"+to)
		}
	}
	return err
}

// Every code has one golden text, made by what causes it; it says which step,
// why, and what to change, and gives no secret away.
func TestEveryCodeHasItsText(t *testing.T) {
	texts := claimTexts(t)
	maps.Copy(texts, outsideTexts(t))
	maps.Copy(texts, endpointTexts(t))
	texts[bootcode.PartEnded] = partText(t)
	texts[bootcode.UserDataStays] = userDataText(t)
	last := 0
	for _, c := range bootcode.All() {
		if c.Step != "claim" && c.Step != "endpoint" && c.Step != "helper" {
			continue // provoked where they are made
		}
		if c.Number <= last {
			t.Errorf("code %d stands behind %d", c.Number, last)
		}
		last = c.Number
		got := texts[c.Number]
		if !strings.Contains(got, fmt.Sprintf(" %d %s in step %s: ", c.Number, c.Name, c.Step)) || !strings.Contains(got, "  why:    ") || !strings.Contains(got, "  change: ") {
			t.Errorf("code %d was not provoked:\n%s", c.Number, got)
		}
		if strings.Contains(got, "key of") || strings.Contains(got, "imgforge-claim-v1.") {
			t.Errorf("code %d gives a secret away:\n%s", c.Number, got)
		}
		testtool.BootCode(t, c, got, *update)
	}
}

func TestCodesCommandListsAll(t *testing.T) {
	var out bytes.Buffer
	if code := Run(context.Background(), []string{"codes"}, &out, &out); code != 0 {
		t.Fatal(code)
	}
	for _, c := range bootcode.All() {
		if !strings.Contains(out.String(), strconv.Itoa(c.Number)+" "+c.Name+" ") {
			t.Errorf("code %d is not listed", c.Number)
		}
	}
}
