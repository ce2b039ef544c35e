package proof

import (
	"encoding/base64"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// owners tells by a public key whose private key it is: an authority by its
// name, a node by its name, "cluster" for the cluster's own. The store keeps
// certificates and public halves in the clear.
func owners(t testing.TB, c *cluster) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, e := range entries(t, c.path("store")) {
		if !e.mode.IsRegular() {
			continue
		}
		parts := strings.Split(strings.Trim(path, "/"), "/")
		owner := map[string]string{"nodes": parts[min(1, len(parts)-1)], "operators": "operator", "cluster": "cluster",
			"authorities": "authority " + strings.TrimSuffix(filepath.Base(path), ".crt")}[parts[0]]
		for _, cert := range certificatesIn(e.contents) {
			out[fingerprint(t, cert.PublicKey)] = owner
		}
		for _, b := range blocks(e.contents) {
			if public := parsePublic(b); public != nil {
				out[fingerprint(t, public)] = owner
			}
		}
	}
	return out
}

// Who may hold which private key: masters the signer of kubelets and what is the
// cluster's own, a node what is its own, a role payload what its nodes may.
func TestPayloadsCarryOnlyTheirOwnKeys(t *testing.T) {
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			whose := owners(t, c)
			signers := 0
			judge := func(what, role, root string, mine func(owner string) bool) (found int) {
				for path, e := range entries(t, root) {
					for _, public := range privateKeysIn(t, e.contents) {
						found++
						owner := whose[fingerprint(t, public)]
						ok := mine(owner)
						if role == "master" && (owner == "authority kubelet-signer" || owner == "cluster") {
							ok = true
							signers++
						}
						if !ok {
							t.Errorf("%s: %s holds a private key of %q", what, path, owner)
						}
					}
				}
				return found
			}
			for _, n := range c.plan.Nodes {
				if judge(n.Name, n.Role, c.tree(t, n.Name), func(owner string) bool { return owner == n.Name }) < 2 {
					t.Errorf("%s: found fewer than two private keys: the search is broken", n.Name)
				}
			}
			for _, r := range c.written(t) {
				root := t.TempDir()
				if err := ignite(t, c.ignitionOf(t, "--role", r.Name), root); err != nil {
					t.Fatal(err)
				}
				ofRole := map[string]bool{}
				for _, n := range c.plan.NodesOf(r.Name) {
					ofRole[n.Name] = true
				}
				if judge(r.Name, r.Name, root, func(owner string) bool { return ofRole[owner] }) < 2*len(ofRole) {
					t.Errorf("%s: found fewer than two private keys per slot: the search is broken", r.Name)
				}
				config, ok := c.fitting(t, "render", "--role", r.Name, "--sealed", "--format", "ignition")
				if !ok {
					continue
				}
				sealed := t.TempDir()
				if err := ignite(t, config, sealed); err != nil {
					t.Fatal(err)
				}
				if found := judge(r.Name+" sealed", "", sealed, func(string) bool { return false }); found > 0 {
					t.Errorf("%s sealed: %d private keys are in the clear", r.Name, found)
				}
			}
			if signers == 0 {
				t.Error("no master holds the kubelet signer")
			}
		})
	}
}

// login is what lets somebody in: hashed passwords, SSH keys, the sections of a
// config that set them.
var login = regexp.MustCompile(`\$(1|2[aby]|5|6|7|y|gy)\$[./A-Za-z0-9]|(ssh-(rsa|dss|ed25519)|ecdsa-sha2-[a-z0-9-]+|sk-ssh-[a-z0-9@.-]+) AAAA|` +
	`BEGIN OPENSSH PRIVATE KEY|authorized_keys|(?m)^\s*"?(passwd|password|plain_text_passwd|hashed_passwd|chpasswd|passwordHash|sshAuthorizedKeys|ssh_authorized_keys|ssh_keys|ssh_import_id)"?\s*:`)

// Nothing that is booted holds a password or an SSH key, in the config or in a file that it writes.
func TestPayloadsHoldNoLogin(t *testing.T) {
	for _, name := range exampleNames(t) {
		c := example(t, name)
		for _, n := range c.plan.Nodes {
			for path, e := range entries(t, c.tree(t, n.Name)) {
				if path != "/etc/passwd" && login.MatchString(e.contents) { // furnish wrote passwd
					t.Errorf("%s: %s of %s holds a login: %q", name, path, n.Name, login.FindString(e.contents))
				}
			}
			if found := login.Find(c.payloadOf(t, n.Name)); found != nil {
				t.Errorf("%s: the payload of %s sets a login: %q", name, n.Name, found)
			}
		}
		for _, r := range c.written(t) {
			if found := login.Find(c.payloadOf(t, r.Name)); found != nil {
				t.Errorf("%s: the payload of %s sets a login: %q", name, r.Name, found)
			}
		}
	}
}

func TestLoginSearchFinds(t *testing.T) {
	for _, text := range []string{
		"root:$6$salt$hash:1::", "root:$y$j9T$abc", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 ana@laptop", "\npassword: hunter2\n",
		"{\n\"passwd\": {\"users\": []}}", "path: /home/core/.ssh/authorized_keys", "  ssh_authorized_keys:\n",
	} {
		if !login.MatchString(text) {
			t.Errorf("not found in %q", text)
		}
	}
}

// Nothing in out/public says what only the store knows, in any of the forms in
// which a secret is written down.
func TestPublicPartHoldsNoSecret(t *testing.T) {
	for _, name := range exampleNames(t) {
		t.Run(name, func(t *testing.T) {
			c := example(t, name)
			secrets := secretsOf(t, c)
			if len(secrets) < 10 {
				t.Fatalf("only %d secrets are searched for", len(secrets))
			}
			public := entries(t, c.path("out", "public"))
			files := 0
			for path, e := range public {
				if e.mode.IsRegular() {
					files++
					if holds(e.contents, secrets) {
						t.Errorf("%s holds a secret", path)
					}
				}
			}
			if files < 3 {
				t.Errorf("only %d files are in the public part", files)
			}
			if out := string(c.run(t, "verify", c.path("out"))); !strings.Contains(out, "searched for") {
				t.Errorf("imgforge verify did not search:\n%s", out)
			}
			// The search must find what it looks for.
			if !holds(entries(t, c.tree(t, c.plan.Nodes[0].Name))["/etc/imgforge/pki/status.key"].contents, secrets) {
				t.Error("the search does not find a key where there is one")
			}
		})
	}
}

// secretsOf collects a line of every private key on any node, and other keys as they are written.
func secretsOf(t testing.TB, c *cluster) []string {
	t.Helper()
	var out []string
	for _, n := range c.plan.Nodes {
		for _, e := range entries(t, c.tree(t, n.Name)) {
			for _, part := range privatePart.FindAllStringSubmatch(e.contents, -1) {
				out = append(out, part[1])
			}
			for _, b := range blocks(e.contents) {
				if publicOf(b) != nil {
					out = append(out, middle(b.Bytes))
				}
			}
		}
	}
	for _, line := range claimLines(t, c) {
		out = append(out, line[strings.LastIndex(line, ".")+1:])
	}
	return out
}

// privatePart finds keys that are not PEM: WireGuard's and the one that encrypts etcd's data.
var privatePart = regexp.MustCompile(`(?m)(?:PrivateKey=|private-key=|secret: "?)([A-Za-z0-9+/]{42,44}=?)`)

// middle is a run from within a DER key in base64: PEM in any line length, and
// base64 of PEM, are undone by holds before it looks.
func middle(der []byte) string {
	return base64.StdEncoding.EncodeToString(der[len(der)/3/3*3:][:24])
}

// holds looks for secrets in a text and in what its base64 hides.
func holds(text string, secrets []string) bool {
	flat := strings.NewReplacer("\n", "", "\\n", "").Replace(text)
	for _, b := range blocks(text) {
		flat += " " + base64.StdEncoding.EncodeToString(b.Bytes)
	}
	return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(flat, s) })
}
