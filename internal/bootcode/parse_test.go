package bootcode

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestReference(t *testing.T) {
	path, want := filepath.Join("..", "..", "docs", "boot-codes.md"), Reference()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Error("docs/boot-codes.md differs from the table; run go test ./internal/bootcode -update")
	}
}

// decorations are the forms in which the lines of a node reach people, by the
// first and the following lines' beginnings.
func decorations() map[string]func(i int, line string) string {
	const pid = "imgforge-node[812]: "
	return map[string]func(i int, line string) string{
		"plain":          func(_ int, line string) string { return line },
		"console":        func(i int, line string) string { return fmt.Sprintf("[%5d.%06d] %s%s\r", i/3, i, pid, line) },
		"console, CR LF": func(i int, line string) string { return fmt.Sprintf("\r\x1b[K[   12.34567%d] %s%s\r", i%10, pid, line) },
		"journal": func(i int, line string) string {
			return fmt.Sprintf("Nov 21 15:36:%02d worker-9 %s%s", i%60, pid, line)
		},
		"journal, ISO": func(i int, line string) string {
			return fmt.Sprintf("2026-11-21T15:36:%02d+0000 worker-9 %s%s", i%60, pid, line)
		},
		"journal, full": func(i int, line string) string {
			return fmt.Sprintf("Sat 2026-11-21 15:36:%02d UTC worker-9 %s%s", i%60, pid, line)
		},
		"journal, micro": func(i int, line string) string {
			return fmt.Sprintf("Nov 21 15:36:%02d.123456 worker-9 %s%s", i%60, pid, line)
		},
		"journal, mono": func(i int, line string) string { return fmt.Sprintf("[   12.%06d] worker-9 %s%s", i, pid, line) },
		"container": func(i int, line string) string {
			return fmt.Sprintf("2026-11-21T15:36:%02d.123456789Z stderr F %s", i%60, line)
		},
		"coloured": func(_ int, line string) string { return "\x1b[0;1;31m" + pid + line + "\x1b[0m" },
		"captured, timed": func(i int, line string) string {
			return fmt.Sprintf("[2026-11-21 15:36:%02d] [    3.%06d] %s%s", i%60, i, pid, line)
		},
		"indentation lost": func(i int, line string) string {
			return fmt.Sprintf("Nov 21 15:36:%02d worker-9 %s%s", i%60, pid, strings.TrimSpace(line))
		},
	}
}

// Every golden text is found in every decoration, whole, between the lines of others.
func TestParseFindsEveryCodeInEveryForm(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatal(files, err)
	}
	for form, decorate := range decorations() {
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for i, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
				b.WriteString("[    9.000001] eth0: link becomes ready\n" + decorate(i, line) + "\n\n")
			}
			words := Parse(b.String())
			if len(words) != 1 {
				t.Fatalf("%s, %s: found %d words in\n%s", form, file, len(words), &b)
			}
			w := words[0]
			c, known := Of(w.Number)
			if !known || w.Text != c.What || w.Change != c.Change || w.Step != c.Step || (w.State == WordWarning) != c.Warning {
				t.Errorf("%s, %s: %+v", form, file, w)
			}
			if got, want := again(w), string(text); got != want {
				t.Errorf("%s:\n%s\nwant\n%s", form, got, want)
			}
		}
	}
}

// again is the text that a word was read from.
func again(w Word) string {
	f := Failure{Code: Code{w.Number, w.Name, w.Step, w.State == WordWarning, w.Text, w.Change}, Why: strings.Join(w.Why, "\n")}
	return f.Error() + "\n"
}

// A terminal of 80 columns cuts lines wherever they happen to end.
func TestParseJoinsWhatATerminalCut(t *testing.T) {
	text := Fail(NoSlot, "this machine has host name web-7.example.org, host name web-7, hardware address 52:54:00:12:34:56\nthe slots are worker-1, worker-2").Error()
	for _, columns := range []int{72, 80, 97, 132} {
		var b strings.Builder
		for line := range strings.Lines(text) {
			line = "[   12.345678] imgforge-node[812]: " + strings.TrimSuffix(line, "\n")
			for len(line) > columns {
				b.WriteString(line[:columns] + "\r\n")
				line = line[columns:]
			}
			b.WriteString(line + "\r\n[  OK  ] Reached target network.target - Network.\r\n")
		}
		words := Parse(b.String())
		if len(words) != 1 || again(words[0]) != text+"\n" {
			t.Errorf("%d columns: %+v from\n%s", columns, words, &b)
		}
	}
}

// Two nodes in one journal may speak at once.
func TestParseOfInterleavedNodes(t *testing.T) {
	a, b := Fail(NoSlot, "this machine has host name web-7\nthe slots are a").Error(), Fail(CannotWrite, "disk full\nreally").Error()
	var text strings.Builder
	left, right := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(left), len(right)) {
		text.WriteString("Nov 21 15:36:00 node-a imgforge-node[7]: " + left[i] + "\nNov 21 15:36:00 node-b imgforge-node[9]: " + right[i] + "\n")
	}
	words := Parse(text.String())
	if len(words) != 2 || again(words[0]) != a+"\n" || again(words[1]) != b+"\n" || words[0].Node != "node-a" || words[1].Node != "node-b" {
		t.Errorf("%+v", words)
	}
}

// said is a diagnosis as one line per entry.
func said(d Diagnosis) string {
	var b strings.Builder
	for _, list := range []struct {
		name string
		all  []Finding
	}{{"open", d.Open}, {"passed", d.Passed}} {
		for _, f := range list.all {
			fmt.Fprintf(&b, "%s %d of %s, %d times from %q to %q; %s\n", list.name, f.Number, f.Node, f.Times, f.First, f.Last, f.Since)
		}
	}
	for _, s := range d.Waiting {
		fmt.Fprintf(&b, "waiting %s of %s: %s\n", s.Step, s.Node, s.Text)
	}
	for _, s := range d.Done {
		fmt.Fprintf(&b, "done %s of %s: %s\n", s.Step, s.Node, s.Text)
	}
	return b.String()
}

func TestDiagnosis(t *testing.T) {
	code := func(n int) string { return Fail(n, "why").Error() + "\n" }
	tests := map[string]struct{ text, want string }{
		"nothing": {"systemd[1]: Started something.\n", ""},
		"open":    {code(NoSlot), "open 102 of , 1 times from \"\" to \"\"; \n"},
		"done": {code(NoSlot) + "imgforge: step claim done: this is worker-1 (host name worker-1)\n",
			"passed 102 of worker-1, 1 times from \"\" to \"\"; done: this is worker-1 (host name worker-1)\ndone claim of worker-1: this is worker-1 (host name worker-1)\n"},
		"done before": {"imgforge: step claim done: this is worker-1 (x)\n" + code(WipeIncomplete), "open 112 of worker-1, 1 times from \"\" to \"\"; \n"},
		"still waiting": {code(EtcdSilent) + "imgforge: step etcd waits: for master-2\n",
			"open 501 of , 1 times from \"\" to \"\"; waits: for master-2\n"},
		"another code of the step": {code(EtcdSilent) + code(EtcdStarting),
			"open 506 of , 1 times from \"\" to \"\"; \npassed 501 of , 1 times from \"\" to \"\"; then 506 starting\n"},
		"waits": {"imgforge: step claim waits: for a name\n", "waiting claim of : for a name\n"},
		"the severe first, in the order of the boot": {code(EtcdSilent) + code(EndpointDown) + code(NameDiffers) + code(NoSlot),
			"open 102 of , 1 times from \"\" to \"\"; \nopen 801 of , 1 times from \"\" to \"\"; \nopen 501 of , 1 times from \"\" to \"\"; \n" +
				"passed 110 of , 1 times from \"\" to \"\"; then 102 no-slot\n"},
		"times": {"Nov 21 15:00:00 w imgforge-node[1]: " + strings.SplitN(code(NoSlot), "\n", 2)[0] + "\nNov 21 15:00:10 w imgforge-node[1]: " + strings.SplitN(code(NoSlot), "\n", 2)[0],
			"open 102 of w, 2 times from \"Nov 21 15:00:00\" to \"Nov 21 15:00:10\"; \n"},
		"another boot": {"[    0.000000] Linux version 6.1\n" + code(NoSlot) + "[    0.000000] Linux version 6.1\nimgforge: step mesh waits: for master-1\n",
			"passed 102 of , 1 times from \"\" to \"\"; the machine has started again\nwaiting mesh of : for master-1\n"},
		"renamed by its claim": {"Nov 21 14:59:00 localhost kernel: Linux version 6.1\nNov 21 15:00:00 localhost imgforge-node[1]: " + strings.SplitN(code(NoSlot), "\n", 2)[0] +
			"\nNov 21 15:00:10 worker-1 imgforge-node[1]: imgforge: step claim done: this is worker-1 (x)\n",
			"passed 102 of worker-1, 1 times from \"Nov 21 15:00:00\" to \"Nov 21 15:00:00\"; done: this is worker-1 (x)\ndone claim of worker-1: this is worker-1 (x)\n"},
	}
	for name, tt := range tests {
		var d Diagnosis
		d.Add("", Parse(tt.text))
		if got := said(d); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
}

// What a node of a newer version says is passed on in its own words.
func TestDiagnosisOfAnUnknownNumber(t *testing.T) {
	var d Diagnosis
	d.Add("console.log", Parse("imgforge: code 999 moon-full in step tides: the moon is full\n  why:    it rose\n  change: wait\n"))
	f := d.Open[0]
	if f.Known || f.What != "the moon is full" || f.Change != "wait" || !slices.Equal(f.Why, []string{"it rose"}) || f.Source != "console.log" {
		t.Errorf("%+v", f)
	}
}

// Whatever stands around it, a code is found, with its number, name and reasons.
func FuzzParse(f *testing.F) {
	f.Add("noise\r\n\x1b[31m", "more\n", uint8(0), uint8(1), "a reason\nanother")
	f.Add("imgforge: code", "imgforge: step x done: y", uint8(9), uint8(5), "why: because\nchange: all")
	forms := decorations()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range forms {
			if !yield(name) {
				return
			}
		}
	})
	f.Fuzz(func(t *testing.T, before, between string, number, form uint8, why string) {
		c := All()[int(number)%len(All())]
		reasons := strings.Fields(why)
		text := (&Failure{Code: c, Why: strings.Join(reasons, " ")}).Error()
		var b strings.Builder
		b.WriteString(before + "\n")
		for i, line := range strings.Split(text, "\n") {
			b.WriteString(forms[names[int(form)%len(names)]](i, line) + "\n")
		}
		b.WriteString(between)
		for _, w := range Parse(b.String()) {
			if w.Number == c.Number && w.Name == c.Name && w.Text == c.What {
				return
			}
		}
		t.Errorf("%d is not found in %q", c.Number, b.String())
	})
}
