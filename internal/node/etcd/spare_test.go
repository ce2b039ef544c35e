package etcd

import "testing"

// A voter can be spared while the others all answer and are enough without it.
func TestSpare(t *testing.T) {
	voter := func(name string) Entry { return Entry{Name: name, Started: true} }
	one, two, three := voter("a"), voter("b"), voter("c")
	joining, unstarted := Entry{Name: "c", Learner: true, Started: true}, Entry{Name: "c"}
	for _, c := range []struct {
		list      []Entry
		answering []string
		want      string
	}{
		{[]Entry{one}, nil, ""},
		{[]Entry{one, two, three}, []string{"a", "b", "c"}, ""},
		{[]Entry{one, two, three}, []string{"b", "c"}, ""}, // a itself need not answer
		{[]Entry{one, two, three}, []string{"a", "b"}, "etcd: c does not answer"},
		{[]Entry{one, two, three}, nil, "etcd: b does not answer, c does not answer"},
		{[]Entry{one, two, joining}, []string{"a", "b", "c"}, "etcd: c is still joining"},
		{[]Entry{one, two, unstarted}, []string{"a", "b"}, "etcd: c is still joining"},
		{[]Entry{one, two}, []string{"a", "b"}, "etcd: of 2 voters none can go without stopping the others"},
		{[]Entry{one, two, three, voter("d"), voter("e")}, []string{"a", "b", "c", "d", "e"}, ""},
		{[]Entry{one, two, three, voter("d")}, []string{"a", "b", "c", "d"}, ""},
	} {
		if got := spare(c.list, "a", c.answering); got != c.want {
			t.Errorf("%v %v: %q, want %q", c.list, c.answering, got, c.want)
		}
	}
}
