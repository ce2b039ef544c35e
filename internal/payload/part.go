package payload

// documentProblems names the part of the document that butane found fault with.
func documentProblems(doc *Document, files []placed, found []finding) []Problem {
	out := make([]Problem, len(found))
	for i, f := range found {
		out[i] = Problem{Path: doc.Target, Message: f.message}
		if len(f.path) > 0 {
			out[i].Path = doc.Target + ": " + partName(doc, files, f.path)
		}
	}
	return out
}

// partName is a path of butane's report with the names of things for their indexes.
func partName(doc *Document, files []placed, path []any) string {
	if len(path) < 3 {
		return field(path)
	}
	i, isIndex := path[2].(int)
	if !isIndex {
		return field(path)
	}
	name := ""
	switch list := path[1]; {
	case list == "files" && i < len(files):
		name = "file " + files[i].Path
	case list == "directories" && i < len(doc.Directories):
		name = "directory " + doc.Directories[i].Path
	case list == "links" && i < len(doc.Links):
		name = "link " + doc.Links[i].Path
	case list == "filesystems" && i < len(doc.Filesystems):
		name = "filesystem " + doc.Filesystems[i].Device
	case list == "disks" && i < len(doc.Disks):
		name = "disk " + doc.Disks[i].Device
	case list == "units" && i < len(doc.Units):
		name = "unit " + doc.Units[i].Name
	default:
		return field(path)
	}
	if len(path) == 3 {
		return name
	}
	return name + ": " + field(path[3:])
}
