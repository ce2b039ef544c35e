package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/imgforge/imgforge/internal/testtool"
)

const module = "github.com/imgforge/imgforge/"

// file is one Go file of the module that is not a test.
type file struct {
	dir  string // relative to the module, slash-separated: internal/plan
	name string // relative to the module
	ast  *ast.File
	fset *token.FileSet
	// lines is how long it is.
	lines int
}

func (f file) at(pos token.Pos) string {
	return f.name + ":" + strconv.Itoa(f.fset.Position(pos).Line)
}

// imports lists import paths with where they stand.
func (f file) imports() map[string]string {
	out := map[string]string{}
	for _, spec := range f.ast.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			out[path] = f.at(spec.Pos())
		}
	}
	return out
}

// called is the local name of an imported package, "" when f does not import it.
func (f file) called(path string) string {
	for _, spec := range f.ast.Imports {
		if spec.Path.Value != strconv.Quote(path) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path[strings.LastIndex(path, "/")+1:]
	}
	return ""
}

// sources parses the module's Go files. Tests, test data and nested modules,
// which have a go.mod of their own, are left out.
func sources(t *testing.T) []file {
	t.Helper()
	root, err := testtool.ModuleRoot()
	if err != nil {
		t.Fatal(err)
	}
	var files []file
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(root, path)
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), text)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Go files found below %s: the walk is broken", len(files), root)
	}
	return files
}

func enter(root, dir string) error {
	base := filepath.Base(dir)
	if dir == root {
		return nil
	}
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func parse(name string, text []byte) (file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	dir := ""
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir = name[:i]
	}
	return file{dir: dir, name: name, ast: tree, fset: fset, lines: strings.Count(string(text), "\n")}, err
}
