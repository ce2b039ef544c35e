package bootcode

import (
	"fmt"
	"strings"
)

// Reference is docs/boot-codes.md: the whole table, for people who search for a number.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`# Boot codes

<!-- Written from the table in internal/bootcode: change that, then run go test ./internal/bootcode -update. -->

A node that cannot go on says so with a number: on its console, in its journal and on its status page, with the step, the reason
and what to change. ` + "`imgforge doctor`" + ` finds them in the text of a console or journal, or asks the nodes, and says what to do first;
` + "`imgforge doctor --codes`" + ` prints this table. The numbers are stable. A **code** needs somebody; a *warning* passes by itself, or
says what its text says and the step goes on. Every step tries again: what is changed is seen without a reboot, unless the text asks for one.
`)
	last := 0
	for _, c := range All() {
		if hundred := c.Number / 100; hundred != last {
			last = hundred
			fmt.Fprintf(&b, "\n## %d: %s\n", hundred*100, hundreds(hundred))
		}
		kind := "code"
		if c.Warning {
			kind = "warning"
		}
		fmt.Fprintf(&b, "\n### %d %s\n\nStep %s, %s: %s.\n\nWhat to change: %s.\n", c.Number, c.Name, c.Step, kind, c.What, c.Change)
	}
	return []byte(b.String())
}

// hundreds names what the numbers of a hundred are about.
func hundreds(n int) string {
	names := [...]string{1: "the claim of an identity", 2: "the clock", 3: "the mesh", 4: "container images and programs", 5: "etcd",
		6: "the control plane and the kubelet", 7: "add-ons", 8: "the endpoint", 9: "reboots", 10: "imgforge-node itself"}
	if n <= 0 || n >= len(names) {
		return "others"
	}
	return names[n]
}
