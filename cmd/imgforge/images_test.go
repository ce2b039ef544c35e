package main

import (
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imgforge/imgforge/internal/testtool"
	"github.com/imgforge/imgforge/internal/testtool/basedisk"
)

// makeBase is `base FILE [PATH=TEXT...]`: a disk that stands in for an image of
// os.family imgforge, with files in it.
func makeBase(ts *testscript.TestScript, _ bool, args []string) {
	files := map[string]string{"etc/os-release": "ID=imgforge\n"}
	for _, a := range args[1:] {
		path, text, _ := strings.Cut(a, "=")
		files[path] = strings.ReplaceAll(text, `\n`, "\n")
	}
	ts.Check(basedisk.Imgforge(ts.MkAbs(args[0]), files))
}

// makeHelper is `helper FILE`: what stands in for imgforge-node, built once for all scripts.
func makeHelper() func(*testscript.TestScript, bool, []string) {
	build := sync.OnceValues(func() ([]byte, error) {
		root, err := testtool.ModuleRoot()
		if err != nil {
			return nil, err
		}
		dir, err := os.MkdirTemp("", "imgforge-helper-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", dir, "./internal/testtool/imgforge-node")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64", "GOOS=linux")
		if out, err := cmd.CombinedOutput(); err != nil {
			return out, err
		}
		return os.ReadFile(dir + "/imgforge-node")
	})
	return func(ts *testscript.TestScript, _ bool, args []string) {
		data, err := build()
		if err != nil {
			ts.Fatalf("build imgforge-node: %v\n%s", err, data)
		}
		ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o755))
	}
}
