package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"gopkg.in/yaml.v3"
)

// ciStep is a piece of shell of an example for CI, and the variables that are its own.
type ciStep struct {
	script string
	env    map[string]string
}

// ciSteps are the steps of every job of an example, in their order.
func ciSteps(data []byte) ([]ciStep, error) {
	var file struct {
		Jobs           yaml.Node // GitHub
		Check, Publish gitlabJob
	}
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	var out []ciStep
	for _, j := range []gitlabJob{file.Check, file.Publish} {
		for _, line := range j.Script {
			out = append(out, ciStep{line, j.Variables})
		}
	}
	for i := 1; i < len(file.Jobs.Content); i += 2 { // in the order of the file
		var job struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
		if err := file.Jobs.Content[i].Decode(&job); err != nil {
			return nil, err
		}
		for _, s := range job.Steps {
			if s.Run != "" {
				out = append(out, ciStep{s.Run, s.Env})
			}
		}
	}
	return out, nil
}

type gitlabJob struct {
	Script    []string
	Variables map[string]string
}

// runCI is `ci FILE NAME=VALUE...`: it runs every step of an example for CI, with what
// the service would put for its expressions, and without the variables that a step
// has not got. What they print is what the command prints.
func runCI(ts *testscript.TestScript, neg bool, args []string) {
	data, err := os.ReadFile("../../examples/ci/" + args[0])
	ts.Check(err)
	steps, err := ciSteps(data)
	ts.Check(err)
	if len(steps) < 8 {
		ts.Fatalf("%s has %d steps", args[0], len(steps))
	}
	values := map[string]string{}
	for _, a := range args[1:] {
		name, value, _ := strings.Cut(a, "=")
		values[name] = value
	}
	for _, s := range steps {
		if strings.Contains(s.script, "${{") {
			ts.Fatalf("an expression in the shell itself: %s", s.script)
		}
		cmd := exec.Command("bash", "-e", "-o", "pipefail", "-c", s.script)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = ciEnvironment(ts, s, values)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = ts.Stdout(), &stderr
		if err := cmd.Run(); err != nil {
			ts.Fatalf("%s\n%v: %s", s.script, err, &stderr)
		}
		fmt.Fprint(ts.Stderr(), stderr.String())
	}
}

// ciEnvironment is the script's, and what the step has of its own.
func ciEnvironment(ts *testscript.TestScript, s ciStep, values map[string]string) (env []string) {
	for _, name := range []string{"PATH", "HOME", "WORK", "IMGFORGE_MIRRORS", "IMGFORGE_MIRRORS_ONLY", "TMPDIR"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	for name, value := range values {
		if strings.Contains(name, ".") {
			continue // of an expression
		}
		env = append(env, name+"="+value)
	}
	for name, value := range s.env {
		for expression, is := range values {
			value = strings.ReplaceAll(value, "${{ "+expression+" }}", is)
			value = strings.ReplaceAll(value, "$"+expression, is)
		}
		if strings.Contains(value, "$") {
			ts.Fatalf("%s: nobody says what %q is", name, value)
		}
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

// readVariable is `read NAME FILE`: the last line of a file becomes a variable.
func readVariable(ts *testscript.TestScript, _ bool, args []string) {
	data, err := os.ReadFile(ts.MkAbs(args[1]))
	ts.Check(err)
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	ts.Setenv(args[0], lines[len(lines)-1])
}

// Every step names what it needs, and no example so much as mentions where the
// authority identity would go.
func TestExamplesForCIAskForTheLeafIdentityAlone(t *testing.T) {
	for _, name := range []string{"github-actions.yml", "gitlab-ci.yml"} {
		data, err := os.ReadFile("../../examples/ci/" + name)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := ciSteps(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Contains(string(data), "IMGFORGE_AUTHORITY") {
			t.Errorf("%s gives the authority identity to CI", name)
		}
		var commands []string
		for _, s := range steps {
			for _, line := range strings.Split(s.script, "\n") {
				if words := strings.Fields(line); len(words) > 1 && words[0] == "imgforge" {
					commands = append(commands, words[1])
				}
			}
		}
		if want := []string{"validate", "lock", "pki", "build", "verify", "publish"}; !slices.Equal(commands, want) {
			t.Errorf("%s runs %q, want %q", name, commands, want)
		}
	}
}
