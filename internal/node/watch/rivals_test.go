package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
	"github.com/imgforge/imgforge/internal/node/step"
)

// Three machines; the clone was made from a disk of this one.
func thisMachine() posting {
	return posting{Machine: "9a2c1e6f0b7d4f3e8a5d2c1b0e9f8a7d", Boot: "11111111-1111-4111-8111-111111111111", System: "0aa6a6ad-2c1f-4a8e-9d2f-5a4b3c2d1e0f"}
}

func otherMachine() posting {
	return posting{Machine: "4d1f7c2b9e8a4b6c8d3e2f1a0b9c8d7e", Boot: "22222222-2222-4222-8222-222222222222", System: "7be1f1c4-53d0-4c7e-8f6a-1b2c3d4e5f60"}
}

func cloneOfThis() posting {
	p := otherMachine()
	p.Machine = thisMachine().Machine
	return p
}

func (p posting) beat(n int) posting {
	p.Beat = noon.Add(time.Duration(n) * time.Second).Format(time.RFC3339)
	return p
}

func newRivals() rivals { return rivals{machine: thisMachine().Machine, boot: thisMachine().Boot} }

// twoMachines is what this machine says of another one.
func twoMachines() string {
	r := newRivals()
	for i, p := range []posting{thisMachine(), otherMachine(), thisMachine(), otherMachine()} {
		r.see(p.beat(i), noon.Add(time.Duration(i)*10*time.Second))
	}
	return r.words(noon.Add(time.Minute))
}

// What may happen to the Node of this machine, in the order of one letter each: m and
// o are writes of this machine's kubelet and of another living one's, the latter
// overwriting this one's or its own; r is a restore of what a machine that is no more
// once wrote. A capital lets all that came before pass for 11 minutes.
func TestRivals(t *testing.T) {
	for _, c := range []struct {
		happens, why string
		twin         bool
	}{
		{"m", "alone", false},
		{"mmmm", "alone, and its heartbeats", false},
		{"rm", "a machine that replaces one that is off", false},
		{"oom", "a machine that replaces one that was on until then", false},
		{"oomo", "and whose last word came late", false},
		{"mrm", "a restored snapshot", false},
		{"omrm", "a restored snapshot of a node that was replaced", false},
		{"oooo", "this machine's kubelet has not written", false},
		{"mo", "another one wrote once", false},
		{"momo", "two take it from each other", true},
		{"omomom", "the same, seen by the one that came later", true},
		{"moo", "this one cannot write any more", true},
		{"mrmo", "a restore is not told from one write", true},
		{"moMo", "11 minutes between the two", false},
		{"momoM", "the other one is off", false},
	} {
		for name, other := range map[string]posting{"another machine": otherMachine(), "a clone": cloneOfThis()} {
			r, now := newRivals(), noon
			for i, what := range c.happens {
				now = now.Add(10 * time.Second)
				switch what {
				case 'M':
					now = now.Add(rivalEnd)
					fallthrough
				case 'm':
					r.see(thisMachine().beat(i), now)
				case 'o':
					r.see(other.beat(i), now)
				case 'r':
					r.see(other.beat(-1000), now)
				}
			}
			if words := r.words(now); (words != "") != c.twin {
				t.Errorf("%s (%s), %s: %q", c.happens, c.why, name, words)
			}
		}
	}
}

// Every sequence of what may happen to a Node, looked at after any of it or not: two
// machines are told only where another one wrote twice after this one's kubelet had,
// and always where it did.
func TestRivalsInEverySequence(t *testing.T) {
	const length = 8
	events := "mor."
	total, twins := 0, 0
	var walk func(happened string)
	walk = func(happened string) {
		if len(happened) == length {
			total++
			if judge(t, happened) {
				twins++
			}
			return
		}
		for _, e := range events {
			walk(happened + string(e))
		}
	}
	walk("")
	if total != 1<<(2*length) || twins == 0 || twins == total {
		t.Errorf("%d of %d sequences have a twin", twins, total)
	}
}

// judge plays one sequence, in which a dot is nothing new: a look that finds the version
// of the last one.
func judge(t *testing.T, happened string) (told bool) {
	r := newRivals()
	var last posting
	mine, writes := false, 0 // of another machine, after this one's
	for i, e := range happened {
		p := last
		switch e {
		case 'm':
			p, mine = thisMachine().beat(i), true
		case 'o':
			p = otherMachine().beat(i)
		case 'r':
			p = otherMachine().beat(-1000)
		}
		if mine && p != last && e != 'm' {
			writes++
		}
		last = p
		r.see(p, noon)
	}
	told = r.words(noon) != ""
	if told != (writes >= 2) {
		t.Errorf("%s: %d writes of another machine, told %v", happened, writes, told)
	}
	return told
}

// Machines whose ids cannot be read are not told from each other.
func TestRivalsWithoutIDs(t *testing.T) {
	for _, r := range []rivals{{}, {machine: thisMachine().Machine}, {boot: thisMachine().Boot}} {
		for i, p := range []posting{thisMachine(), {}, thisMachine(), {}, thisMachine()} {
			r.see(p.beat(i), noon)
		}
		if words := r.words(noon); words != "" {
			t.Errorf("%+v: %s", r, words)
		}
	}
}

// The words name both machines by what finds them, and stay the same while nothing new
// is known.
func TestWordsOfRivals(t *testing.T) {
	r := newRivals()
	for i, p := range []posting{thisMachine(), cloneOfThis(), thisMachine(), otherMachine(), cloneOfThis()} {
		r.see(p.beat(i), noon.Add(time.Duration(i)*time.Second))
	}
	words := r.words(noon.Add(time.Minute))
	for _, want := range []string{"a machine with the same machine id, as a copy of this one's disk has", "boot id " + cloneOfThis().Boot,
		"another machine writes this Node too: machine id " + otherMachine().Machine + ", system UUID " + otherMachine().System,
		"this is machine id " + thisMachine().Machine, "seen since 2031-05-04 12:00 UTC"} {
		if strings.Count(words, want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, words)
		}
	}
	r.see(otherMachine().beat(99), noon.Add(2*time.Minute))
	if again := r.words(noon.Add(3 * time.Minute)); again != words {
		t.Errorf("%s\nand then\n%s", words, again)
	}
}

// A twin explains a mesh that lets this machine in at times only, and an API that does
// not answer; what it cannot have caused has its own code.
func TestDecideWithATwin(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		want   string
	}{
		"a silent API":    {func(f *Facts) { f.API.Status = 0 }, "617 final, endpoint behind"},
		"not Ready":       {func(f *Facts) { f.API.Ready = false }, "617 final"},
		"no peer":         {func(f *Facts) { f.Mesh.Answered, f.API.Status = 0, 0 }, "mesh behind, 617 final, endpoint behind"},
		"a dead kubelet":  {func(f *Facts) { f.Kubelet = Kubelet{Why: "x"} }, "611 passing"},
		"dead, no peer":   {func(f *Facts) { f.Kubelet, f.Mesh.Answered = Kubelet{Why: "x"}, 0 }, "302 passing, kubelet behind"},
		"a full disk":     {func(f *Facts) { f.Disks[0].Free = 0 }, "606 final"},
		"the mesh's word": {func(f *Facts) { f.Mesh.Twins = []string{"x"} }, "306 warned, 617 warned"},
	} {
		f := wellWorker()
		f.API.Twin = twoMachines()
		c.change(&f)
		var got []string
		for _, w := range Decide(f) {
			outcome := map[int]string{Warned: "warned", Passing: "passing", Final: "final", Behind: "behind"}[w.Outcome]
			switch {
			case w.Code != 0:
				got = append(got, fmt.Sprint(w.Code, " ", outcome))
			case w.Outcome == Behind:
				got = append(got, w.Step+" behind")
			}
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %s, want %s", name, strings.Join(got, ", "), c.want)
		}
	}
	if c, _ := bootcode.Of(bootcode.NodeTwin); c.Step != step.Kubelet || !c.Warning {
		t.Errorf("%+v", c)
	}
}

// Both machines tell, and go on telling, where the mesh carries one for a while and then
// the other: a kubelet writes at the first of its ticks at which it can and the Node is
// the other one's, and what a helper could not see then it sees when it can.
func TestBothTellAcrossAMeshThatCarriesOne(t *testing.T) {
	for _, phase := range []int{10, 25, 60, 120} { // seconds
		var history []posting
		both := []posting{thisMachine(), otherMachine()}
		told := []rivals{{machine: both[0].Machine, boot: both[0].Boot}, {machine: both[1].Machine, boot: both[1].Boot}}
		seen, first := []int{0, 0}, []int{-1, -1}
		for second := range 1500 {
			i := second / phase % 2 // who is carried
			now := noon.Add(time.Duration(second) * time.Second)
			if n := len(history); second%10 == 3*i && (n == 0 || !history[n-1].of(both[i].Machine, both[i].Boot)) {
				history = append(history, both[i].beat(second))
			}
			if second%30 == 7*i+5 {
				for ; seen[i] < len(history); seen[i]++ {
					told[i].see(history[seen[i]], now)
				}
			}
			for i := range told {
				switch words := told[i].words(now); {
				case words != "" && first[i] < 0:
					first[i] = second
				case words == "" && first[i] >= 0:
					t.Fatalf("phases of %d s: machine %d takes it back after %d s", phase, i, second)
				}
			}
		}
		if first[0] < 0 || first[1] < 0 || max(first[0], first[1]) > 10*phase+120 {
			t.Errorf("phases of %d s: told after %v s", phase, first)
		}
	}
}
