package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/images"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/testtool"
)

// sealedAt is a machine at a provider that boots an image with two sealed slots, called
// as servers are that nobody named, and the lines that open them.
func sealedAt(t *testing.T, provider string) (m *machine, lines [2]string) {
	m = newMachine(t, "localhost")
	lines[0] = m.seal(slotOf(t, "worker-1"), [32]byte{1})
	lines[1] = m.seal(slotOf(t, "worker-2"), [32]byte{2})
	m.provider(provider)
	switch provider {
	case "scaleway":
		testtool.Root(t) // it answers ports below 1024 alone
		fallthrough
	case "ec2", "openstack", "exoscale", "hetzner":
		m.service = newMetadataService(t, provider, nil)
	}
	return m, lines
}

// claimOutside claims, asking outside, with something happening at each look in vain.
func (m *machine) claimOutside(wait time.Duration, scene ...func()) error {
	c := m.claimer()
	c.Wait, c.UserData = wait, m.ofUserData
	c.Fault = func(step string) {
		if step == "no claim line yet" && len(scene) > 0 {
			scene[0]()
			scene = scene[1:]
		}
	}
	return c.Run(context.Background())
}

// plug attaches a drive.
func (m *machine) plug(device string, write func(w io.Writer) error) {
	m.t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		m.t.Fatal(err)
	}
	m.write("/dev/"+device, b.String())
	m.write("/sys/class/block/"+device+"/size", "1\n")
}

func (m *machine) plugClaim(device, data string) {
	m.plug(device, func(w io.Writer) error {
		return images.WriteISO(w, claimDrive, []artifact.File{{Path: "claim", Contents: []byte(data)}})
	})
}

// The line as user-data opens the one slot that it is for, at every provider, and is
// nowhere on the machine afterwards, nor on its console.
func TestClaimLineAsUserData(t *testing.T) {
	for _, provider := range []string{"scaleway", "ec2", "openstack", "exoscale", "hetzner"} {
		t.Run(provider, func(t *testing.T) {
			m, lines := sealedAt(t, provider)
			m.service.userData = lines[1] + "\n"
			if err := m.claimOutside(time.Minute); err != nil {
				t.Fatal(err)
			}
			m.mustBe("worker-2")
			m.hides(lines[:])
			if !strings.Contains(m.stderr.String(), "this is worker-2 (claim line from the user-data that "+provider+" has for this server for worker-2)") {
				t.Errorf("the console says %s", &m.stderr)
			}
			asked := m.service.asked
			if err := m.claimOutside(time.Minute); err != nil || m.service.asked != asked {
				t.Errorf("a machine that is claimed asks again: %v", err)
			}
		})
	}
}

// hides fails the test when a claim line, or its key, is on the machine or its console.
func (m *machine) hides(lines []string) {
	m.t.Helper()
	for _, line := range lines {
		secret := line[strings.LastIndexByte(line, '.')+1:]
		for path, text := range m.snapshot() {
			if strings.Contains(text, secret) && !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/proc/") {
				m.t.Errorf("%s holds a claim line", path)
			}
		}
		if strings.Contains(m.stderr.String(), secret) {
			m.t.Errorf("the console shows a claim line: %s", &m.stderr)
		}
	}
}

func TestClaimLineOnADrive(t *testing.T) {
	for _, provider := range []string{"proxmox", "libvirt", "metal", "openstack"} {
		for name, plug := range map[string]func(m *machine, line string){
			"cidata": func(m *machine, line string) {
				m.plug("sr0", func(w io.Writer) error { return images.CIData(w, []byte(line), "server-7", "i-1", nil) })
			},
			"config-2": func(m *machine, line string) {
				m.plug("sr0", func(w io.Writer) error { return images.ConfigDrive(w, []byte(line), "server-7", "i-1") })
			},
			"our own": func(m *machine, line string) { m.plugClaim("vdb", line) },
			"beside the image's own": func(m *machine, line string) {
				m.plug("vda15", func(w io.Writer) error { return images.CIData(w, []byte("#cloud-config\n{}\n"), "x", "i-1", nil) })
				m.plugClaim("vdb", line+"\r\n")
			},
			"credential": func(m *machine, line string) { m.write(claimCredential, line) },
			"firmware":   func(m *machine, line string) { m.write(claimFirmware, line+"\n") },
		} {
			t.Run(provider+"/"+name, func(t *testing.T) {
				m, lines := sealedAt(t, provider)
				plug(m, lines[0])
				if err := m.claimOutside(time.Minute); err != nil {
					t.Fatal(err)
				}
				m.mustBe("worker-1")
			})
		}
	}
}

// What the machine carries itself is enough: nobody is asked.
func TestKernelArgumentAsksNobody(t *testing.T) {
	m, lines := sealedAt(t, "exoscale")
	m.write("/proc/cmdline", "quiet imgforge.claim="+lines[0])
	m.service.userData = lines[1]
	if err := m.claimOutside(time.Minute); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
	if m.service.asked > 0 {
		t.Error("the service was asked")
	}
}

// A network that comes late is waited for; user-data that is corrected meanwhile is taken.
func TestClaimWaitsForItsLine(t *testing.T) {
	m, lines := sealedAt(t, "exoscale")
	m.service.userData, m.service.down = "#cloud-config\n", true
	err := m.claimOutside(time.Minute, func() {},
		func() { m.service.down = false },
		func() { m.service.userData = lines[0] })
	if err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
	const want = `imgforge: step claim waits: for the claim line of this node: the metadata service of exoscale: connect: connection refused
imgforge: step claim waits: for the claim line of this node: the user-data that exoscale has for this server is a cloud-config (14 bytes)
imgforge: step claim done: this is worker-1 (claim line from the user-data that exoscale has for this server for worker-1)
`
	if got := m.stderr.String(); got != want {
		t.Errorf("the console says\n%s", got)
	}
}

// unfit is user-data that does not make a machine a node.
func unfit(lines [2]string, other string) map[string]struct {
	data string
	code int
} {
	type c = struct {
		data string
		code int
	}
	return map[string]c{
		"none":            {"", bootcode.ClaimMissing},
		"Ignition":        {`{"ignition": {"version": "3.4.0"}}`, bootcode.UserDataForeign},
		"cloud-config":    {"#cloud-config\nwrite_files:\n- {path: /etc/imgforge/claim, content: " + lines[0] + "}\n", bootcode.UserDataForeign},
		"two lines":       {lines[0] + "\n" + lines[1] + "\n", bootcode.UserDataForeign},
		"the same twice":  {lines[0] + "\n" + lines[0] + "\n", bootcode.UserDataForeign},
		"in quotes":       {`"` + lines[0] + `"`, bootcode.UserDataForeign},
		"cut short":       {lines[0][:len(lines[0])-3], bootcode.ClaimDamaged},
		"another cluster": {other, bootcode.UnknownNode},
		"very long":       {artifact.ClaimPrefix + strings.Repeat("a", 4096), bootcode.UserDataForeign},
	}
}

// Anything but the one line is refused, changes nothing, and is not repeated on the console.
func TestUserDataThatIsNoClaimLine(t *testing.T) {
	other, err := artifact.EncodeClaim("node-of-another-cluster", [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	m, lines := sealedAt(t, "hetzner")
	for name, tt := range unfit(lines, other) {
		t.Run(name, func(t *testing.T) {
			m.t, m.service.userData = t, tt.data
			before := m.snapshot()
			err := m.claimOutside(0)
			if !errors.Is(err, bootcode.Fail(tt.code, "")) {
				t.Fatalf("got %v, want code %d", err, tt.code)
			}
			m.log.Failed(asFailure(err))
			m.hides(append(lines[:], other))
			if !maps.Equal(before, m.snapshot()) {
				t.Error("something changed")
			}
		})
	}
}

// A line for one node on a server called as another is a mistake that is not guessed
// away; a key of another store opens nothing.
func TestClaimLineAgainstName(t *testing.T) {
	m, lines := sealedAt(t, "hetzner")
	m.rename("worker-2")
	m.service.userData = lines[0]
	if err := m.claimOutside(0); !errors.Is(err, bootcode.Fail(bootcode.TwoSlots, "")) {
		t.Errorf("got %v", err)
	}
	m.rename("ip-10-0-0-7") // a name that means nothing
	if m.service.userData, _ = artifact.EncodeClaim("worker-1", [32]byte{99}); !errors.Is(m.claimOutside(0), bootcode.Fail(bootcode.ClaimWrong, "")) {
		t.Error("a key of another store")
	}
	m.service.userData = lines[0]
	if err := m.claimOutside(0); err != nil {
		t.Fatal(err)
	}
	m.mustBe("worker-1")
}

// outsideTexts makes the codes of user-data happen.
func outsideTexts(t *testing.T) map[int]string {
	text := func(prepare func(m *machine, s *metadataService)) string {
		m, _ := sealedAt(t, "exoscale")
		prepare(m, m.service)
		m.log.Failed(asFailure(m.claimOutside(0)))
		return m.complaints()
	}
	return map[int]string{
		bootcode.ClaimMissing:    text(func(*machine, *metadataService) {}),
		bootcode.UserDataForeign: text(func(_ *machine, s *metadataService) { s.userData = `{"ignition": {"version": "3.4.0"}}` }),
		bootcode.UserDataSilent:  text(func(_ *machine, s *metadataService) { s.down = true }),
	}
}
