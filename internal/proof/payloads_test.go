package proof

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
	"github.com/imgforge/imgforge/internal/testtool"
)

// Ignition's own validator has nothing to say about any payload that build
// writes, nor about a sealed one. It exits with 0 on unknown keys: any output is
// a failure. Where the OS reads cloud-init, what it was converted from is judged.
func TestIgnitionAcceptsEveryPayload(t *testing.T) {
	validate := testtool.Path(t, "ignition-validate")
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			judged := 0
			judge := func(what string, payload []byte) {
				judged++
				if out, err := stdin(payload, validate, "-"); err != nil || out != "" {
					t.Errorf("%s: %v %s", what, err, out)
				}
			}
			for _, n := range c.plan.Nodes {
				judge(n.Name, c.ignitionOf(t, "--node", n.Name))
			}
			for _, r := range c.written(t) {
				judge(r.Name, c.ignitionOf(t, "--role", r.Name))
				if sealed, ok := c.fitting(t, "render", "--role", r.Name, "--sealed", "--format", "ignition"); ok {
					judge(r.Name+" sealed", sealed)
				}
			}
			if judged < len(c.plan.Nodes)+2 {
				t.Errorf("only %d payloads were judged", judged)
			}
		})
	}
}

// written are the roles whose payload fits the provider's budget; build leaves
// the others out with a warning.
func (c *cluster) written(t testing.TB) []plan.Role {
	t.Helper()
	var out []plan.Role
	for _, r := range c.roles() {
		if _, err := os.Stat(c.outFile("roles", r.Name)); err == nil {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		t.Fatalf("%s: no role payload was written", c.name)
	}
	return out
}

// A validator that says nothing about anything would pass the test above.
func TestValidatorSpeaks(t *testing.T) {
	validate := testtool.Path(t, "ignition-validate")
	for _, bad := range []string{
		`{"ignition": {"version": "3.4.0"}, "storrage": {}}`,
		`{"ignition": {"version": "3.4.0"}, "storage": {"files": [{"path": "etc/x"}]}}`,
	} {
		if out, _ := stdin([]byte(bad), validate, "-"); out == "" {
			t.Errorf("nothing is said about %s", bad)
		}
	}
}

// The engine writes every node's own payload, and the helper finds its identity in it.
func TestIgnitionAppliesEveryNodePayload(t *testing.T) {
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			for _, n := range c.plan.Nodes {
				root := c.tree(t, n.Name)
				for _, path := range []string{artifact.NodeFilePath, artifact.ClusterFilePath, artifact.ClaimedPath, "/var/lib/kubelet/config.yaml"} {
					if _, err := os.Stat(filepath.Join(root, path)); err != nil {
						t.Errorf("%s: %v", n.Name, err)
					}
				}
			}
		})
	}
}

// Whatever way a node gets its payload, it ends up with the same files: from
// the payload of its role by its host name, from the sealed one by its claim
// line, or from its own. Nothing of another slot is left behind.
func TestRolePayloadEndsLikeNodePayload(t *testing.T) {
	for _, name := range exampleNames(t) {
		c := example(t, name)
		lines := claimLines(t, c)
		for _, r := range c.written(t) {
			nodes := c.plan.NodesOf(r.Name)
			for _, sealed := range []bool{false, true} {
				what := map[bool]string{false: "clear", true: "sealed"}[sealed]
				t.Run(name+"/"+r.Name+"/"+what, func(t *testing.T) {
					args := []string{"render", "--format", "ignition", "--role", r.Name}
					if sealed {
						args = append(args, "--sealed")
					}
					config, ok := c.fitting(t, args...)
					if !ok && sealed {
						return // sealed slots do not compress
					}
					root := t.TempDir()
					if err := ignite(t, config, root); err != nil {
						t.Fatal(err)
					}
					// The first and the last slot; the last is a reserved one where the role has any.
					for _, n := range slices.Compact([]string{nodes[0].Name, nodes[len(nodes)-1].Name}) {
						claimed := copyTree(t, root)
						line := ""
						if sealed {
							line = lines[n]
						}
						if err := claim(t, claimed, n, line); err != nil {
							t.Fatal(err)
						}
						sameTree(t, n, entries(t, claimed, byTheWay...), entries(t, c.tree(t, n), byTheWay...))
					}
				})
			}
		}
	}
}

// byTheWay are what the engine and the helper note down for themselves.
var byTheWay = []string{artifact.ClaimedPath, artifact.SlotDir, "/run/imgforge", "/etc/.ignition-result.json"}

func claimLines(t testing.TB, c *cluster) map[string]string {
	t.Helper()
	var claims []struct{ Node, Line string }
	if err := json.Unmarshal(c.run(t, "claims", "--json"), &claims); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range claims {
		out[c.Node] = c.Line
	}
	return out
}

func copyTree(t testing.TB, root string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "root")
	if out, err := exec.Command("cp", "-a", root, to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v\n%s", err, out)
	}
	return to
}

// cloud-init's schema has nothing to say about the payloads that build writes
// for it, nor about those of the other systems converted.
func TestCloudInitAcceptsEveryPayload(t *testing.T) {
	cloudInit := testtool.Path(t, "cloud-init")
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			judged := 0
			judge := func(what, text string) {
				judged++
				file := filepath.Join(t.TempDir(), "user-data")
				if err := os.WriteFile(file, []byte(unpacked(t, text)), 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.Command(cloudInit, "schema", "--config-file", file).CombinedOutput()
				if err != nil || !strings.Contains(string(out), "Valid cloud-config") {
					t.Errorf("%s: %v\n%s", what, err, lastLines(out, 10))
				}
			}
			if c.plan.OS.Format == "cloud-init" {
				for _, n := range c.plan.Nodes {
					judge(n.Name, string(c.payloadOf(t, n.Name)))
				}
				for _, r := range c.written(t) {
					judge(r.Name, string(c.payloadOf(t, r.Name)))
				}
			}
			for _, args := range firstOfEach(c) {
				// Some are over a budget that the other form holds.
				if text, ok := c.fitting(t, append([]string{"render", "--format", "cloud-init"}, args...)...); ok {
					judge(strings.Join(args, " "), string(text))
				}
			}
			if judged == 0 {
				t.Error("nothing was judged")
			}
		})
	}
}

// unpacked is the cloud-config inside a payload that had to be compressed to fit:
// cloud-init takes it out itself, but its schema command reads plain ones only.
func unpacked(t *testing.T, text string) string {
	t.Helper()
	if strings.HasPrefix(text, "#cloud-config") {
		return text
	}
	message, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	part, err := multipart.NewReader(message.Body, params["boundary"]).NextPart()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, part))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// firstOfEach are the arguments of render for each role and its first node.
func firstOfEach(c *cluster) [][]string {
	var out [][]string
	for _, r := range c.roles() {
		out = append(out, []string{"--role", r.Name}, []string{"--node", c.plan.NodesOf(r.Name)[0].Name})
	}
	return out
}

// The tree that cloud-init writes equals the tree that Ignition writes. Both
// engines run for real on a copy of this system's root; the script and its
// stand-ins are those of the payload package's own tests.
func TestCloudInitWritesTheTreeOfIgnition(t *testing.T) {
	testtool.Root(t)
	testtool.Path(t, "cloud-init")
	c := example(t, "scaleway-ha")
	for _, r := range c.roles() {
		n := c.plan.NodesOf(r.Name)[0].Name
		t.Run(n, func(t *testing.T) {
			want := applied(t, testtool.Path(t, "ignition"), c.run(t, "render", "--node", n, "--format", "ignition"))
			got := applied(t, "cloud-init", c.run(t, "render", "--node", n, "--format", "cloud-init"))
			if len(want) < 30 {
				t.Errorf("Ignition changed %d paths only", len(want))
			}
			for line := range want {
				if !got[line] {
					t.Errorf("only Ignition: %s", line)
				}
			}
			for line := range got {
				if !want[line] {
					t.Errorf("only cloud-init: %s", line)
				}
			}
		})
	}
}

// applied runs an engine and returns a line per path that it changed. What is in the
// folders of public is served at http://127.0.0.1:8080.
func applied(t *testing.T, engine string, payload []byte, public ...string) map[string]bool {
	t.Helper()
	const from = "../payload/testdata/"
	dir := t.TempDir()
	for _, d := range []string{"layers", "base", "public"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []string{"cloud.cfg", "systemctl"} {
		data, err := os.ReadFile(from + f)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, f), data, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range public {
		if out, err := exec.Command("cp", "-a", from+"/.", filepath.Join(dir, "public")).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v\n%s", err, out)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "payload"), payload, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "--mount", "--net", "--uts", "--ipc", "--pid", "--fork", "sh", from+"apply.sh", engine, dir)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", engine, err, lastLines([]byte(stderr.String()), 20))
	}
	if complaints, err := os.ReadFile(filepath.Join(dir, "complaints")); err == nil && len(complaints) > 0 {
		t.Errorf("%s complains:\n%s", engine, complaints)
	}
	lines := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if !slices.ContainsFunc(ownNotes, func(path string) bool { return strings.HasSuffix(line, " ."+path) }) {
			lines[line] = true
		}
	}
	return lines
}

// ownNotes are what the engines and the script write for themselves; cloud-init
// also turns passwords off in sshd_config and locks that of root.
var ownNotes = []string{"/etc/.ignition-result.json", "/etc/cloud", "/etc/ssh", "/etc/ssh/sshd_config", "/usr", "/usr/local", "/usr/local/sbin",
	"/var", "/var/lib", "/root", "/etc/.pwd.lock", "/etc/shadow", "/etc/shadow-"}
