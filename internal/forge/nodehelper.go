package forge

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// nodeHelper reads imgforge-node for an architecture: the file that is named, or one
// beside the program that runs, imgforge-node-ARCH or imgforge-node.
func nodeHelper(named, arch string) ([]byte, error) {
	candidates := []string{named}
	if named == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find imgforge-node: %w: name it with --helper", err)
		}
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		dir := filepath.Dir(self)
		candidates = []string{filepath.Join(dir, helperProgram+"-"+arch), filepath.Join(dir, helperProgram)}
	}
	for _, path := range candidates {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read imgforge-node: %w", err)
		}
		if err := isHelper(data, arch); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("there is no %s or %s: nodes need this program; build it with CGO_ENABLED=0 GOARCH=%s, or name it with --helper", candidates[0], candidates[1], arch)
}

// isHelper refuses another program, and one that would not run on a node.
func isHelper(data []byte, arch string) error {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	program, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("it is no program for Linux: %w", err)
	}
	if program.Machine != machine {
		return fmt.Errorf("it is made for %s, and the nodes are %s: name another with --helper", program.Machine, arch)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it needs libraries that a node may not have: build it with CGO_ENABLED=0")
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(data))
	if err != nil || filepath.Base(info.Path) != helperProgram {
		return errors.New("it is not imgforge-node")
	}
	return nil
}
