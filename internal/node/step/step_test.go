package step

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

func newLog(t *testing.T) (*Log, *bytes.Buffer) {
	var out bytes.Buffer
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.FixedZone("here", 3600))
	return &Log{Root: t.TempDir(), Stderr: &out, Now: func() time.Time { return now }}, &out
}

// What is new is shown once and kept; the status reads the last word of each step,
// in the order of the boot.
func TestLastWords(t *testing.T) {
	l, out := newLog(t)
	l.Waiting(Etcd, "for master-2")
	l.Waiting(Etcd, "for master-2")
	l.Failed(bootcode.Fail(bootcode.EtcdSilent, "no answer"))
	l.Done(Claim, "this is master-1")
	l.Failed(bootcode.Fail(bootcode.EtcdDataLost, "no data"))
	l.Failed(bootcode.Fail(bootcode.EtcdDataLost, "no data"))
	l.Done(Kubelet, "runs")
	l.Failed(bootcode.Fail(bootcode.TimeUnset, "nobody"))
	want := []string{"imgforge: step etcd waits: for master-2", "imgforge: warning 501 ", "imgforge: step claim done: this is master-1",
		"imgforge: code 512 ", "imgforge: step kubelet done: runs", "imgforge: warning 201 "}
	var heads []string
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "imgforge: ") {
			heads = append(heads, line)
		}
	}
	if !slices.EqualFunc(heads, want, strings.HasPrefix) {
		t.Errorf("shown:\n%s", out)
	}
	got, err := Read(l.Root)
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2026, 3, 1, 11, 0, 0, 0, time.UTC)
	for i, want := range []Record{
		{Step: Claim, State: Done, Text: "this is master-1"},
		{Step: Time, State: Warning, Code: bootcode.TimeUnset, Text: bootcode.Fail(bootcode.TimeUnset, "nobody").Error()},
		{Step: Kubelet, State: Done, Text: "runs"},
		{Step: Etcd, State: Failed, Code: bootcode.EtcdDataLost, Text: bootcode.Fail(bootcode.EtcdDataLost, "no data").Error()},
	} {
		if want.Since = since; i >= len(got) || got[i] != want {
			t.Errorf("word %d of %+v, want %+v", i, got, want)
		}
	}
	if len(got) != 4 {
		t.Errorf("%d words", len(got))
	}
}

// Parts of the helper speak at once.
func TestManySpeakAtOnce(t *testing.T) {
	l, out := newLog(t)
	var all sync.WaitGroup
	for _, name := range Names() {
		all.Go(func() { l.Done(name, "well") })
	}
	all.Wait()
	got, err := Read(l.Root)
	if err != nil || len(got) != len(Names()) || strings.Count(out.String(), "\n") != len(got) {
		t.Errorf("%d words, %v:\n%s", len(got), err, out)
	}
}

// A status that cannot be kept is said, and a damaged one does not hide the others.
func TestDamagedWords(t *testing.T) {
	l, out := newLog(t)
	l.Done(Claim, "this is master-1")
	l.Done(Time, "set")
	if err := os.WriteFile(filepath.Join(l.Root, folder, Claim+".json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(l.Root); err == nil || !strings.Contains(err.Error(), "step claim") || len(got) != 1 || got[0].Step != Time {
		t.Errorf("%+v, %v", got, err)
	}
	l.Root = filepath.Join(l.Root, folder, Claim+".json") // a file where a folder is needed
	l.Done(Mesh, "up")
	if !strings.Contains(out.String(), "step mesh done: up") || !strings.Contains(out.String(), "the status will not show this") {
		t.Errorf("shown:\n%s", out)
	}
}
