package lab

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// keepWords reads what the steps of every running node's boot said last, for the
// report and as artifacts. They are gone with the node's power.
func (t *Trial) keepWords() {
	for _, n := range t.nodes {
		if n.leader == 0 {
			continue
		}
		words := n.words()
		data, err := json.MarshalIndent(words, "", "  ")
		if err == nil {
			err = os.WriteFile(n.artifact("steps.json"), append(data, '\n'), 0o600)
		}
		if err != nil {
			t.logf("the steps of %s are not kept: %v", n.Name, err)
		}
		t.seen.Lock()
		for _, w := range words {
			w.Phase = t.phase
			t.result.Words = append(t.result.Words, w)
		}
		t.seen.Unlock()
	}
}

// words are the node's own: one for every step that said something.
func (n *Node) words() (words []Word) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/root/run/imgforge/steps/*.json", n.leader))
	if err != nil {
		return nil
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it changes this very moment, or the node ends
		}
		var said struct {
			Step, State, Text string
			Code              int
			Since             time.Time
		}
		if json.Unmarshal(data, &said) == nil {
			words = append(words, Word{Node: n.Name, Step: said.Step, State: said.State, Code: said.Code, Text: said.Text,
				Seconds: said.Since.Sub(n.PoweredOn).Seconds()})
		}
	}
	return words
}
