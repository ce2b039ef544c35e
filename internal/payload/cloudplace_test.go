package payload

import (
	"errors"
	"slices"
	"testing"
)

// What cloud-init cannot express is said at the user's own line, by name.
func TestCloudInitProblemsAreAtTheLineOfTheUser(t *testing.T) {
	doc := &Document{Target: "worker", Role: "worker", Variant: "flatcar", Version: "1.1.0",
		Extra: []Snippet{
			{Path: "extra.all", File: "cluster.yaml", Line: 10, Text: "kernel_arguments:\n  should_exist: [quiet]\n"},
			{Path: "extra.worker", File: "cluster.yaml", Line: 20, Text: `storage:
  files:
    - path: /etc/motd
      contents: {inline: hello}
    - path: /opt/tool
      contents:
        source: https://example.org/tool
  disks:
    - device: /dev/sdb
      wipe_table: true
`}}}
	_, err := Render(doc, Options{Format: FormatCloudInit})
	bad, ok := errors.AsType[*Invalid](err)
	if !ok {
		t.Fatalf("not refused: %v", err)
	}
	var got []string
	for _, p := range bad.Problems {
		got = append(got, p.String())
	}
	const fix = "; leave it out, or choose an os.family that reads Ignition"
	want := []string{
		"cluster.yaml:28:1: extra.worker: storage.disks (/dev/sdb): cloud-init cannot express this" + fix,
		"cluster.yaml:11:1: extra.all: kernelArguments.shouldExist: cloud-init cannot express this" + fix,
		"cluster.yaml:26:1: extra.worker: storage.files.contents.verification.hash (/opt/tool): contents that are fetched need a sha256 or sha512 hash" + fix,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
