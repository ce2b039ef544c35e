package payload

import (
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/coreos/ignition/v2/config/v3_5/types"
	"gopkg.in/yaml.v3"
)

// cloudHeader opens every cloud-config; cloud-init ignores user-data without it.
const cloudHeader = "#cloud-config\n"

// cloudConfig is the part of cloud-config that payloads need, in the order in
// which cloud-init runs it. No module here reaches for the network but the
// commands that fetch by hash.
type cloudConfig struct {
	Hostname         string `yaml:"hostname,omitempty"`
	PreserveHostname bool   `yaml:"preserve_hostname"`
	PreferFQDN       bool   `yaml:"prefer_fqdn_over_hostname"`
	SSHPasswordAuth  bool   `yaml:"ssh_pwauth"`
	DisableRoot      bool   `yaml:"disable_root"`
	PublicSSHKeys    bool   `yaml:"allow_public_ssh_keys"`
	PackageUpdate    bool   `yaml:"package_update"`
	PackageUpgrade   bool   `yaml:"package_upgrade"`

	BootCommands [][]string  `yaml:"bootcmd,omitempty"`
	WriteFiles   []writeFile `yaml:"write_files,omitempty"`
	Groups       []string    `yaml:"groups,omitempty"`
	Users        []cloudUser `yaml:"users"`
	RunCommands  [][]string  `yaml:"runcmd,omitempty"`
}

// writeFile is one entry of write_files.
type writeFile struct {
	Path        string `yaml:"path"`
	Permissions string `yaml:"permissions"`
	Owner       string `yaml:"owner"`
	Encoding    string `yaml:"encoding,omitempty"`
	Content     quoted `yaml:"content"`
}

// quoted is a string that no YAML reader can take for anything else: the
// readers of this format still follow YAML 1.1, where y and 1:30 are not text.
type quoted string

// MarshalYAML quotes always.
func (q quoted) MarshalYAML() (any, error) {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: string(q), Style: yaml.DoubleQuotedStyle}, nil
}

// CloudInit converts Ignition JSON into the #cloud-config that leaves the same
// tree, units and users behind. The error is *Invalid and names every field
// that cloud-init cannot express.
func CloudInit(ignition []byte) ([]byte, error) {
	config, err := expand(ignition)
	if err != nil {
		return nil, fmt.Errorf("convert to cloud-init: %w", err)
	}
	c, err := convert(config)
	if err != nil {
		return nil, err
	}
	return c.encode()
}

func convert(config types.Config) (*cloudConfig, error) {
	t, problems := newTree(config)
	if problems = append(unsupported(config), problems...); len(problems) > 0 {
		return nil, &Invalid{Problems: problems}
	}
	c := &cloudConfig{DisableRoot: true, WriteFiles: t.writes}
	var programs, files []fetch
	for _, f := range t.fetches {
		if f.isProgram() {
			programs = append(programs, f)
		} else {
			files = append(files, f)
		}
	}
	for _, script := range [...]struct{ name, text string }{
		{"disks", disksScript(config.Storage.Filesystems)},
		{"tree", t.script()},
		{"programs", programsScript(programs, config.Ignition.Proxy)},
		{"fetch", fetchScript(files, config.Ignition.Proxy)},
	} {
		if script.text != "" {
			c.BootCommands = append(c.BootCommands, oncePerInstance(script.name, script.text))
		}
	}
	c.Hostname = t.hostname
	c.Groups, c.Users = cloudUsers(config.Passwd)
	c.RunCommands = runCommands(t, config.Systemd.Units)
	return c, nil
}

func (c *cloudConfig) encode() ([]byte, error) {
	body, err := encodeYAML(c)
	if err != nil {
		return nil, fmt.Errorf("encode cloud-config: %w", err)
	}
	return append([]byte(cloudHeader), body...), nil
}

// parts spells the files one by one, as they weigh.
func (c *cloudConfig) parts() []part {
	var parts []part
	for _, w := range c.WriteFiles {
		// A struct of strings always encodes.
		raw, _ := encodeYAML([]writeFile{w})
		parts = append(parts, part{path: w.Path, text: raw})
	}
	return parts
}

// newWriteFile spells contents in the shortest way that survives YAML: plain
// ASCII, base64, or compressed base64.
func newWriteFile(path string, mode uint32, owner string, contents []byte) (writeFile, error) {
	w := writeFile{Path: path, Permissions: fmt.Sprintf("%04o", mode), Owner: owner}
	w.Content, w.Encoding = quoted(base64.StdEncoding.EncodeToString(contents)), "b64"
	z, err := gzipped(contents)
	if err != nil {
		return writeFile{}, err
	}
	if packed := base64.StdEncoding.EncodeToString(z); len(packed) < len(w.Content) {
		w.Content, w.Encoding = quoted(packed), "gz+b64"
	}
	if plainASCII(contents) && len(contents)+strings.Count(string(contents), "\n") <= len(w.Content) {
		w.Content, w.Encoding = quoted(contents), ""
	}
	return w, nil
}

// plainASCII tells whether contents have nothing that quoting must escape but
// line ends, so that a size can be told from their length.
func plainASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c < ' ' && c != '\n' || c == '"' || c == '\\' || c == 0x7f {
			return false
		}
	}
	return true
}
