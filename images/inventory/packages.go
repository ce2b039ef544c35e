package inventory

import (
	"bytes"
	"path"
	"strings"

	"github.com/imgforge/imgforge/images/attest"
)

// Where package managers note down what is installed.
const (
	dpkgStatus = "var/lib/dpkg/status"
	// dpkgFolder has a file per package in images that are made without dpkg itself.
	dpkgFolder = "var/lib/dpkg/status.d"
	dpkgInfo   = "var/lib/dpkg/info" // which files are whose
)

func apkInstalled() []string { return []string{"lib/apk/db/installed", "usr/lib/apk/db/installed"} }

func osRelease() []string { return []string{"etc/os-release", "usr/lib/os-release"} }

// rpmFolders hold databases in a form that is not read here.
func rpmFolders() []string { return []string{"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"} }

// telling is a path whose contents say which packages there are, or what is theirs.
func telling(p string) bool {
	dir, ext := path.Dir(p), path.Ext(p)
	for _, known := range append(append(apkInstalled(), osRelease()...), dpkgStatus) {
		if p == known {
			return true
		}
	}
	return dir == dpkgFolder || dir == dpkgInfo && ext == ".list"
}

// paragraph is one of a file of several, its fields by name. Lines that go on are left out.
type paragraph map[string]string

// paragraphs reads what dpkg and apk write: fields, and empty lines between packages.
func paragraphs(text []byte, each func(p paragraph)) {
	p := paragraph{}
	end := func() {
		if len(p) > 0 {
			each(p)
		}
		p = paragraph{}
	}
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(bytes.TrimSpace(line)) == 0 {
			end()
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		if _, known := p[string(name)]; !known {
			p[string(name)] = string(bytes.TrimSpace(value))
		}
	}
	end()
}

// distribution is what os-release says (os-release(5)): such as debian and debian-12.
func distribution(text []byte) (id, release string) {
	fields := map[string]string{}
	for line := range bytes.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		fields[name] = strings.Trim(value, `"'`)
	}
	id = fields["ID"]
	if id != "" && fields["VERSION_ID"] != "" {
		release = id + "-" + fields["VERSION_ID"]
	}
	return id, release
}

// dpkg are the packages of a status file, or of a part of one.
func dpkg(text []byte, vendor, release string) (out []attest.Component) {
	paragraphs(text, func(p paragraph) {
		name, version, status := p["Package"], p["Version"], p["Status"]
		if name == "" || version == "" || status != "" && !strings.HasSuffix(status, " installed") {
			return // removed, its configuration left
		}
		out = append(out, attest.Component{Name: name, Version: version, Purpose: attest.Application,
			PURL: attest.Packaged("deb", vendor, name, version, p["Architecture"], release)})
	})
	return out
}

// apk are the packages of Alpine's kind (apk-tools' installed database: P, V and A).
func apk(text []byte, vendor, release string) (out []attest.Component) {
	paragraphs(text, func(p paragraph) {
		if p["P"] != "" && p["V"] != "" {
			out = append(out, attest.Component{Name: p["P"], Version: p["V"], Purpose: attest.Application,
				PURL: attest.Packaged("apk", vendor, p["P"], p["V"], p["A"], release)})
		}
	})
	return out
}

// owned are the files that a note says are a package's.
func owned(name string, text []byte, each func(file string)) {
	switch {
	case path.Ext(name) == ".list":
		for line := range bytes.Lines(text) {
			each(clean(string(bytes.TrimSpace(line))))
		}
	case path.Ext(name) == ".md5sums":
		for line := range bytes.Lines(text) {
			if _, file, ok := strings.Cut(strings.TrimSpace(string(line)), "  "); ok {
				each(clean(file))
			}
		}
	case path.Base(name) == "installed":
		folder := ""
		for line := range bytes.Lines(text) {
			value := string(bytes.TrimSpace(line))
			switch {
			case strings.HasPrefix(value, "F:"):
				folder = value[2:]
			case strings.HasPrefix(value, "R:"):
				each(clean(folder + "/" + value[2:]))
			}
		}
	}
}
