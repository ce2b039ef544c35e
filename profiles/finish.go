package profiles

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/payload"
)

// finish sorts a document, so that the order of parts is not part of its bytes,
// and refuses a path or unit that two parts claim.
func finish(doc *payload.Document) (*payload.Document, error) {
	sortFiles(doc.Files)
	for i := range doc.Slots {
		sortFiles(doc.Slots[i].Files)
	}
	slices.SortFunc(doc.Directories, func(a, b payload.Directory) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(doc.Links, func(a, b payload.Link) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(doc.Units, func(a, b payload.Unit) int { return cmp.Compare(a.Name, b.Name) })
	return doc, unique(doc)
}

func sortFiles(files []artifact.File) {
	slices.SortFunc(files, func(a, b artifact.File) int { return cmp.Compare(a.Path, b.Path) })
}

// unique checks that on any one node every path and unit is written once.
func unique(doc *payload.Document) error {
	seen := map[string]bool{}
	once := func(kind, name string) error {
		if seen[kind+name] {
			return fmt.Errorf("%s %s of %s is declared twice", kind, name, doc.Target)
		}
		seen[kind+name] = true
		return nil
	}
	for _, d := range doc.Directories {
		if err := once("path", d.Path); err != nil {
			return err
		}
	}
	for _, l := range doc.Links {
		if err := once("path", l.Path); err != nil {
			return err
		}
	}
	for _, u := range doc.Units {
		if err := once("unit", u.Name); err != nil {
			return err
		}
	}
	for _, f := range doc.Files {
		if err := once("path", f.Path); err != nil {
			return err
		}
	}
	for _, s := range doc.Slots {
		mine := map[string]bool{}
		for _, f := range s.Files {
			if seen["path"+f.Path] || mine[f.Path] {
				return fmt.Errorf("path %s of %s is declared twice", f.Path, s.Node)
			}
			mine[f.Path] = true
		}
	}
	return nil
}
