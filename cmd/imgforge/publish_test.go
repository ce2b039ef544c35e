package main

import (
	"context"
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/toolchain"
)

// orasPull is `oras FILE FOLDER`: it copies the artifact that a file names, as
// REPOSITORY@DIGEST, into a folder, with the library of oras.
func orasPull(ts *testscript.TestScript, neg bool, args []string) {
	root, err := testtool.ModuleRoot()
	ts.Check(err)
	program, err := toolchain.Path(context.Background(), root, "oras-pull")
	ts.Check(err)
	data, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	repository, digest, _ := strings.Cut(strings.TrimSpace(string(data)), "@")
	out, err := exec.Command(program, repository, digest, ts.MkAbs(args[1])).CombinedOutput()
	if (err == nil) == neg {
		ts.Fatalf("oras: %v\n%s", err, out)
	}
}
