package forge

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/imgforge/imgforge/internal/spec"
)

// moveKubernetes changes the version in the text of a cluster file, and nothing
// else: comments and order stay. The source then stands for the new text, which is
// written once all that follows from it is resolved. Nil means that the file has
// this version already.
func (a *App) moveKubernetes(src *Source, version string) ([]byte, error) {
	if src.Example != "" || src.File == "-" {
		return nil, invalid("", "--upgrade kubernetes changes the cluster file, and this one cannot be written", "name a file with -f")
	}
	name, text, err := src.read()
	if err != nil {
		return nil, err
	}
	before, place, problems := spec.Parse(name, text)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if strings.TrimPrefix(before.Kubernetes.Version, "v") == version {
		return nil, nil
	}
	moved := withVersion(text, place, version)
	after, _, problems := spec.Parse(name, moved)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	// Whatever the form of the file: either exactly the version changed, or nothing is written.
	before.Kubernetes.Version = after.Kubernetes.Version
	if after.Kubernetes.Version != version || !reflect.DeepEqual(before, after) {
		return nil, invalid(name, "kubernetes.version stands where imgforge does not change it by itself", fmt.Sprintf("write version: %s there yourself, then run `imgforge lock`", version))
	}
	src.text = moved
	return moved, nil
}

// withVersion replaces the version where it stands, or adds it below kubernetes,
// or adds both at the end.
func withVersion(text []byte, place *spec.Source, version string) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if line, col, ok := place.Position("kubernetes.version"); ok {
		at := lines[line-1]
		rest := regexp.MustCompile(`^["']?v?[0-9.]+["']?`).ReplaceAll(at[col-1:], []byte(version))
		lines[line-1] = append(bytes.Clone(at[:col-1]), rest...)
		return bytes.Join(lines, nil)
	}
	if line, _, ok := place.Position("kubernetes"); ok {
		indent := "  "
		if line < len(lines) {
			if found := regexp.MustCompile(`^ +`).Find(lines[line]); found != nil {
				indent = string(found)
			}
		}
		added := []byte(indent + "version: " + version + "\n")
		lines[line-1] = append(bytes.Clone(lines[line-1]), added...)
		return bytes.Join(lines, nil)
	}
	out := bytes.TrimRight(text, "\n")
	return append(bytes.Clone(out), []byte("\nkubernetes:\n  version: "+version+"\n")...)
}
