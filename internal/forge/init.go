package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"github.com/imgforge/imgforge/examples"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/spec"
)

// InitOptions choose the example and where it goes.
type InitOptions struct {
	Source Source // File, Store and Example
	// Name replaces the example's cluster name.
	Name    string
	NoStore bool
}

// nameLine is the cluster name of an example: the only key name at the top level.
var nameLine = regexp.MustCompile(`(?m)^name: *\S+`)

// Init writes a commented cluster file and makes its store. It replaces nothing.
func (a *App) Init(ctx context.Context, o InitOptions) ([]string, error) {
	data, err := examples.Read(o.Source.Example)
	if err != nil {
		return nil, invalid("", err.Error(), "see imgforge init --help")
	}
	if o.Name != "" {
		data = nameLine.ReplaceAll(data, []byte("name: "+o.Name))
	}
	_, _, found := spec.Parse(o.Source.File, data)
	if err := found.Err(); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(o.Source.File); !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s exists already and is left alone: move it away, or name another file with -f", o.Source.File)
	}
	err = artifact.WriteFile(o.Source.File, 0o644, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return nil, err
	}
	lines := []string{fmt.Sprintf("wrote %s from the example %s: change what is yours, then `imgforge validate`", o.Source.File, o.Source.Example)}
	if o.NoStore {
		return append(lines, "make the store with `imgforge pki init`"), nil
	}
	src := o.Source
	src.Example = ""
	more, err := a.pkiInit(ctx, src, false)
	if err != nil {
		return nil, fmt.Errorf("%s is written, but there is no store yet: %w; then run `imgforge pki init`", o.Source.File, err)
	}
	return append(append(lines, more...), "next: edit the file, then `imgforge pki issue` and `imgforge build`"), nil
}
