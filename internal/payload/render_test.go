package payload

import (
	"testing"

	"github.com/imgforge/imgforge/internal/artifact"
)

func TestRenderSmoke(t *testing.T) {
	yes := true
	doc := &Document{Target: "worker", Role: "worker", Variant: "flatcar", Version: "1.1.0",
		Files: []artifact.File{{Path: "/etc/x", Contents: []byte("hello\n")}, {Path: "/etc/y", Mode: 0600, Contents: []byte{0xff, 0, 1}}},
		Units: []Unit{{Name: "a.service", Enabled: &yes, Contents: "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"}, {Name: "sshd.service", Mask: true}},
		Slots: []artifact.Slot{{Node: "worker-1", Match: []string{"worker-1"}, Files: []artifact.File{{Path: "/etc/z", Contents: []byte("z")}}}},
		Extra: []Snippet{{Path: "extra.worker", File: "c.yaml", Line: 10, Text: "storage:\n  files:\n    - path: /etc/x\n      contents: {inline: bye}\n"}},
	}
	for _, f := range []string{"butane", "ignition", "cloud-init"} {
		p, err := Render(doc, Options{Format: f})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%v\n%+v", p.Data, p.Warnings, p.Sizes)
	}
}
