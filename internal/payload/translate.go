package payload

import (
	"regexp"
	"strconv"
	"strings"

	butane "github.com/coreos/butane/config"
	"github.com/coreos/butane/config/common"
)

// This file holds the only import of butane, which has moved into the ignition
// module: following it there is a change of the two lines above.

// finding is one entry of butane's report, warnings included.
type finding struct {
	// path is the field in the Butane text: storage files 3 mode.
	path []any
	// line and col count from 1 in the Butane text; zero means unknown.
	line, col int
	message   string
}

// translate turns Butane into Ignition JSON. Local files are never read. With
// plain, contents stay uncompressed so that the whole config compresses better.
// There is output only when there are no findings.
func translate(text []byte, plain bool) ([]byte, []finding) {
	options := common.TranslateBytesOptions{}
	options.NoResourceAutoCompression = plain
	out, r, err := butane.TranslateBytes(text, options)
	var found []finding
	for _, e := range r.Entries {
		if e.Message == plainProxy() {
			continue
		}
		f := finding{path: e.Context.Path, message: e.Message}
		if e.Message == common.ErrNoFilesDir.Error() {
			f.message = "imgforge reads no file but the cluster file; write the contents with inline"
		}
		if p := e.Marker.StartP; p != nil {
			f.line, f.col = int(p.Line), int(p.Column)
		}
		found = append(found, f)
	}
	if err != nil && len(found) == 0 {
		found = yamlFindings(err)
	}
	if len(found) > 0 {
		return nil, found
	}
	return out, nil
}

// lineOf finds the line that yaml.v3 names in the text of its errors; it offers
// no other way to learn it.
var lineOf = regexp.MustCompile(`^\s*(?:yaml: )?line (\d+): `)

func yamlFindings(err error) []finding {
	text := strings.TrimPrefix(err.Error(), "Error unmarshaling yaml: ")
	text = strings.TrimPrefix(text, "yaml: unmarshal errors:\n")
	var found []finding
	for m := range strings.SplitSeq(text, "\n") {
		f := finding{message: strings.TrimPrefix(strings.TrimSpace(m), "yaml: ")}
		if at := lineOf.FindStringSubmatch(m); at != nil {
			f.line, _ = strconv.Atoi(at[1])
			f.col = 1
			f.message = m[len(at[0]):]
		}
		found = append(found, f)
	}
	return found
}
