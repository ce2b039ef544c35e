package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// The command line is specified by testdata/script: one block per promise.
// UPDATE_SCRIPTS=1 rewrites what the scripts compare with.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"imgforge": main})
}

func TestScript(t *testing.T) {
	testscript.Run(t, scripts("testdata/script", func(*testscript.Env) {}))
}

// scripts are those of a folder, each with an environment of its own.
func scripts(dir string, more func(*testscript.Env)) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			// Identities live in the user's configuration folder, outside of git.
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("XDG_CONFIG_HOME", "")
			more(e)
			return os.Mkdir(filepath.Join(e.WorkDir, "home"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": checkMode,
			"oras": orasPull,
			"ci":   runCI,
			"read": readVariable,
			"same": checkSame,
			"edit": edit,

			"scaleway": fakeScaleway(),
			"upstream": standIn(),
			"base":     makeBase,
			"helper":   makeHelper(),
		},
	}
}

// checkMode is `mode OCTAL PATH...`: the exact permission bits.
func checkMode(ts *testscript.TestScript, neg bool, args []string) {
	for _, path := range args[1:] {
		info, err := os.Stat(ts.MkAbs(path))
		ts.Check(err)
		if got := fmt.Sprintf("%04o", info.Mode().Perm()); (got == args[0]) == neg {
			ts.Fatalf("%s has mode %s", path, got)
		}
	}
}

// checkSame is `same DIR1 DIR2`: the same files with the same bytes and modes.
func checkSame(ts *testscript.TestScript, neg bool, args []string) {
	a, b := snapshot(ts, args[0]), snapshot(ts, args[1])
	if bytes.Equal(a, b) == neg {
		ts.Fatalf("%s and %s:\n%s\n%s", args[0], args[1], a, b)
	}
}

func snapshot(ts *testscript.TestScript, dir string) []byte {
	var out bytes.Buffer
	root := ts.MkAbs(dir)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if rel == "lock" || d.IsDir() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "%s %s %x\n", info.Mode(), rel, data)
		return nil
	})
	ts.Check(err)
	return out.Bytes()
}

// edit is `edit FILE OLD NEW`: replaces text that must be there exactly once.
func edit(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	if n := bytes.Count(data, []byte(args[1])); n != 1 {
		ts.Fatalf("%s holds %q %d times", args[0], args[1], n)
	}
	ts.Check(os.WriteFile(path, bytes.Replace(data, []byte(args[1]), []byte(args[2]), 1), 0o644))
}
