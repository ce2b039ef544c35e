package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/forge"
)

// What a node says, which may be somebody else's by now, does not steer the terminal
// of who asks.
func TestNodesDoNotSteerTheTerminal(t *testing.T) {
	const evil = "a\x1b]0;title\x07b\u009b2Jc\rd"
	status := &artifact.StatusFile{Role: evil, Kubernetes: evil, Helper: evil, Unread: []string{evil}, VRRP: []artifact.StatusVRRP{{Name: evil, State: evil}},
		Steps: []artifact.StatusStep{{Step: evil, State: "failed", Code: 303, Text: evil}, {Step: "etcd" + evil, State: "waiting", Text: "for ä\n" + evil}, {Step: "claim", State: "done", Text: evil}}}
	asked := forge.NodeReport{Node: "worker-1", Status: status}
	seen := &observed{Diagnosis: bootcode.NewDiagnosis(), Nodes: []forge.NodeReport{asked, {Node: "worker-2", Problem: evil}}}
	seen.Add("", wordsOf(asked))
	var out bytes.Buffer
	if err := seen.print(&out, io.Discard, false); err == nil {
		t.Error("nothing is wrong")
	}
	if strings.ContainsAny(out.String(), "\x1b\x07\r\u009b") {
		t.Errorf("printed %q", out.String())
	}
	if !strings.Contains(out.String(), "for ä\n") {
		t.Errorf("letters or lines are lost: %q", out.String())
	}
}
