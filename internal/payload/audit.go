package payload

import (
	"bytes"
	"fmt"
	"path"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/imgforge/imgforge/internal/artifact"
)

// Audit lists what in a payload would let somebody log in: passwords and SSH
// keys, wherever they hide. Documents have none; a user's snippet may.
func Audit(payload []byte) ([]string, error) {
	files, err := Files(payload)
	if err != nil {
		return nil, err
	}
	if payload, err = unpack(payload); err != nil {
		return nil, err
	}
	audit := auditIgnition
	if bytes.HasPrefix(payload, []byte(cloudHeader)) {
		audit = auditCloudConfig
	}
	found, err := audit(payload)
	if err != nil {
		return nil, fmt.Errorf("audit payload: %w", err)
	}
	for _, f := range files {
		if what := auditFile(f); what != "" {
			found = append(found, f.Path+": "+what)
		}
	}
	return found, nil
}

func auditIgnition(payload []byte) ([]string, error) {
	c, err := anyConfig(payload)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, u := range c.Passwd.Users {
		if value(u.PasswordHash) != "" {
			found = append(found, "passwd.users "+u.Name+": a password")
		}
		if len(u.SSHAuthorizedKeys) > 0 {
			found = append(found, "passwd.users "+u.Name+": an SSH key")
		}
	}
	for _, g := range c.Passwd.Groups {
		if value(g.PasswordHash) != "" {
			found = append(found, "passwd.groups "+g.Name+": a password")
		}
	}
	return found, nil
}

// cloudLogins are the keys of cloud-config, at the top or in a user, that hold
// a password or an SSH key.
var cloudLogins = [...]string{
	"chpasswd", "hashed_passwd", "passwd", "password", "plain_text_passwd",
	"ssh_authorized_keys", "ssh_import_id", "ssh_keys",
}

func auditCloudConfig(payload []byte) ([]string, error) {
	var c struct {
		Users []map[string]any `yaml:"users"`
		Rest  map[string]any   `yaml:",inline"`
	}
	if err := yaml.Unmarshal(payload, &c); err != nil {
		return nil, err
	}
	var found []string
	for _, key := range cloudLogins {
		if c.Rest[key] != nil {
			found = append(found, key+": a password or an SSH key")
		}
		for _, u := range c.Users {
			if u[key] != nil {
				found = append(found, fmt.Sprintf("users %v: %s: a password or an SSH key", u["name"], key))
			}
		}
	}
	return found, nil
}

func auditFile(f artifact.File) string {
	name := path.Base(f.Path)
	switch {
	case strings.HasPrefix(name, "authorized_keys"), strings.Contains(f.Path, "/authorized_keys.d/"):
		return "SSH keys that may log in"
	case name == "shadow" || name == "gshadow":
		return "passwords"
	case strings.HasPrefix(name, "ssh_host_"), bytes.Contains(f.Contents, []byte("OPENSSH PRIVATE KEY")):
		return "an SSH private key"
	}
	return ""
}
