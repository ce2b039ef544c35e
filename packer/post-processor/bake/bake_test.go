package bake

import (
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// Of what builders leave, the disk is found or asked for, never guessed.
func TestDiskOfArtifact(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files []string
		state map[string]any
		want  string
		err   string
	}{
		{name: "one file", files: []string{"out/packer-base"}, want: "out/packer-base"},
		{name: "QEMU with firmware", files: []string{"out/efivars.fd", "out/packer-base"}, state: map[string]any{"diskName": "packer-base"}, want: "out/packer-base"},
		{name: "two disks", files: []string{"a.qcow2", "b.qcow2"}, err: "artifice"},
		{name: "in a cloud", files: []string{}, err: "left no file"},
	} {
		got, err := disk(&packersdk.MockArtifact{FilesValue: tc.files, StateValues: tc.state})
		if got != tc.want || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: %q %v", tc.name, got, err)
		}
	}
}
