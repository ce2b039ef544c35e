package spec

import (
	"reflect"

	"github.com/imgforge/imgforge/internal/report"
)

// Parse reads a cluster file: a strict decode, then defaults, then every check
// that one file allows. Cluster and Source are never nil, and the cluster may
// be used only when the report holds no error. The report is located and
// sorted; file is the name it uses and is not opened.
func Parse(file string, data []byte) (*Cluster, *Source, report.Report) {
	c, src, r := &Cluster{}, newSource(file, data), report.Report{}
	if p, ok := scan(data); !ok {
		r.Add(p)
		return c, src, finish(src, r)
	}
	root, p, ok := load(data, src.lines)
	if !ok {
		r.Add(p)
		return c, src, finish(src, r)
	}
	if problems := src.survey(root); len(problems) > 0 {
		r.Add(problems...)
		return c, src, finish(src, r)
	}
	d := decoder{src: src, report: &r}
	d.secrets(root)
	d.value(root, reflect.ValueOf(c).Elem(), "", field{})
	setDefaults(c, src)
	r.Add(validate(c, src)...)
	return c, src, finish(src, r)
}

func finish(src *Source, r report.Report) report.Report {
	for i := range r.Problems {
		r.Problems[i].File = src.file
	}
	src.Locate(&r)
	r.Sort()
	return r
}
