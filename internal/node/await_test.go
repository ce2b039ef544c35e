package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
)

// scene is what happens to a machine at each look for a name.
func (m *machine) await(wait time.Duration, scene ...func()) error {
	c := m.claimer()
	c.Wait = wait
	c.Metadata = m.metadata
	c.Fault = func(step string) {
		if step == "no name yet" && len(scene) > 0 {
			scene[0]()
			scene = scene[1:]
		}
	}
	return c.Run(context.Background())
}

func (m *machine) rename(name string) { m.write("/proc/sys/kernel/hostname", name+"\n") }

// The console says at once what is waited for, and not again while that stays so.
func TestClaimSaysWhatItWaitsFor(t *testing.T) {
	m := newMachine(t, "localhost")
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
	const waits = "imgforge: step claim waits: for a host name; the slots are worker-1, worker-2\n"
	said := func(want string) func() {
		return func() {
			if got := m.stderr.String(); got != want {
				t.Errorf("the console says %q, want %q", got, want)
			}
		}
	}
	if err := m.await(time.Minute, said(waits), said(waits), func() { m.rename("worker-2") }); err != nil {
		t.Fatal(err)
	}
	said(waits + "imgforge: step claim done: this is worker-2 (host name worker-2)\n")()
	m.mustBe("worker-2")
}

// A name that fits nothing is told at once, and again when it changes, not while
// it stays.
func TestClaimTellsAWrongNameAtOnce(t *testing.T) {
	m := newMachine(t, "web-7")
	m.carry(slotOf(t, "worker-1"))
	told := func(times int) func() {
		return func() {
			if got := strings.Count(m.stderr.String(), "imgforge: code 102 no-slot"); got != times {
				t.Errorf("told %d times, want %d:\n%s", got, times, &m.stderr)
			}
		}
	}
	err := m.await(time.Minute, told(1), told(1), func() { m.rename("web-8") }, told(2), told(2), func() { m.rename("worker-1") })
	if err != nil {
		t.Fatal(err)
	}
	told(2)()
	m.mustBe("worker-1")
}

// provider writes the payload's word on where the machine runs.
func (m *machine) provider(name string) {
	m.t.Helper()
	text, err := artifact.EncodeClusterFile(artifact.ClusterFile{Cluster: "nostromo", Role: "worker", Provider: name})
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(artifact.ClusterFilePath, string(text))
}

func TestClaimByTag(t *testing.T) {
	for _, provider := range taggingProviders() {
		t.Run(provider, func(t *testing.T) {
			m := newMachine(t, "ip-10-0-0-7")
			m.provider(provider)
			m.service = newMetadataService(t, provider, map[string]string{"Name": "x", tagName: "Worker-2"})
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
			if err := m.await(0); err != nil {
				t.Fatal(err)
			}
			m.mustBe("worker-2")
			if got := m.read(artifact.ClaimedPath); !strings.Contains(got, `"by": "tag imgforge.node=worker-2"`) {
				t.Errorf("recorded %s", got)
			}
		})
	}
}

// The network, and with it the service, may come up later; until then the claim
// says so, and a name that comes first decides.
func TestClaimAwaitsTheMetadataService(t *testing.T) {
	m := newMachine(t, "ip-10-0-0-7")
	m.provider("ec2")
	m.service = newMetadataService(t, "ec2", map[string]string{tagName: "worker-1"})
	m.service.down = true
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
	const waits = "imgforge: step claim waits: for a host name, or a tag imgforge.node=NAME: the metadata service of ec2 tells no tags: connect: connection refused; the slots are worker-1, worker-2\n"
	said := func() {
		if got := m.stderr.String(); got != waits {
			t.Errorf("the console says %q", got)
		}
	}
	if err := m.await(time.Minute, said, said, func() { m.service.down = false }); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")

	m = newMachine(t, "ip-10-0-0-7")
	m.provider("ec2")
	m.service = newMetadataService(t, "ec2", nil)
	m.service.down = true
	m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
	if err := m.await(time.Minute, func() { m.rename("worker-2") }); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-2")
}

// A service that stays silent keeps a wrong name from being told for some seconds only.
func TestClaimTellsAWrongNameBesideASilentService(t *testing.T) {
	m := newMachine(t, "web-7")
	m.provider("scaleway")
	m.service = newMetadataService(t, "scaleway", map[string]string{tagName: "worker-1"})
	m.service.down = true
	m.carry(slotOf(t, "worker-1"))
	c := m.claimer()
	c.Wait, c.Metadata, c.TagGrace = time.Minute, m.metadata, time.Nanosecond
	c.Fault = func(step string) {
		if got := m.stderr.String(); step == "no name yet" && !strings.HasPrefix(got, "imgforge: code 102 no-slot") {
			t.Errorf("the console says %q", got)
		}
		m.service.down = false
	}
	if err := c.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
}

func TestTagsThatDecideNothing(t *testing.T) {
	tests := map[string]struct {
		provider string
		tags     map[string]string
		down     bool
		code     int
		why      string
	}{
		"no such tag":        {"scaleway", map[string]string{"other": "worker-1"}, false, bootcode.NoSlot, "\nthe metadata service of scaleway has no tag imgforge.node for it"},
		"no tag of ec2":      {"ec2", nil, false, bootcode.NoSlot, "\nthe metadata service of ec2 has no tag imgforge.node for it"},
		"no tag in nova":     {"openstack", nil, false, bootcode.NoSlot, "\nthe metadata service of openstack has no tag imgforge.node for it"},
		"service is down":    {"openstack", nil, true, bootcode.NoSlot, "\nthe metadata service of openstack tells no tags: connect: connection refused"},
		"a name without one": {"ec2", map[string]string{tagName: "worker-9"}, false, bootcode.UnknownNode, "tag imgforge.node=worker-9; the slots are worker-1, worker-2"},
		"nonsense":           {"ec2", map[string]string{tagName: "a\x1b[31m\nb"}, false, bootcode.UnknownNode, `tag imgforge.node="a\x1b[31m\nb"; the slots are`},
		"two names": {"scaleway", map[string]string{tagName: "worker-1", "imgforge:node": "worker-2"}, false, bootcode.TwoSlots,
			"tag imgforge.node=worker-1 says worker-1, tag imgforge.node=worker-2 says worker-2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, "ip-10-0-0-7")
			m.provider(tt.provider)
			m.service = newMetadataService(t, tt.provider, tt.tags)
			m.service.down = tt.down
			m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
			err := m.await(0)
			if !errors.Is(err, bootcode.Fail(tt.code, "")) || !strings.Contains(asFailure(err).Why, tt.why) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// What is on the machine itself decides without a question.
func TestTagsAreNotAskedForWithoutNeed(t *testing.T) {
	for _, prepare := range []func(m *machine){
		func(m *machine) { m.rename("worker-1") },
		func(m *machine) { m.write("/proc/cmdline", "imgforge.node=worker-1") },
	} {
		m := newMachine(t, "localhost")
		m.provider("ec2")
		m.service = newMetadataService(t, "ec2", map[string]string{tagName: "worker-2"})
		m.carry(slotOf(t, "worker-1"), slotOf(t, "worker-2"))
		prepare(m)
		if err := m.await(0); err != nil {
			t.Fatal(err)
		}
		m.mustBe("worker-1")
		if m.service.asked > 0 {
			t.Errorf("the metadata service was asked %d times", m.service.asked)
		}
	}
}

// Where a provider's service tells no tags, or the payload no provider, nobody is asked.
func TestNoMetadataService(t *testing.T) {
	for _, provider := range []string{"", "metal", "libvirt", "proxmox", "hetzner", "exoscale"} {
		if m, ok := metadataOf(provider); ok {
			t.Errorf("%q: %v", provider, m)
		}
	}
	for _, provider := range taggingProviders() {
		if m, ok := metadataOf(provider); !ok || len(m.urls) == 0 {
			t.Errorf("%q has no service", provider)
		}
	}
}

func taggingProviders() []string { return []string{"scaleway", "ec2", "openstack"} }
