package artifact

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// VerifyOptions is what only the caller knows about an output folder.
type VerifyOptions struct {
	// Secrets must not be found below public, in any of the usual encodings. An
	// empty list checks the folder without the search.
	Secrets [][]byte
	// Expand returns what is packed inside a file (the decoded files of a payload,
	// the members of an archive), to be searched as well. It sees each public file
	// of up to 64 MiB once. Nil expands nothing.
	Expand func(name string, data []byte) [][]byte
	// Disks tells that the caller hashes and searches what is inside disk images. A file
	// that is the disk itself is then not read here: it may be large.
	Disks bool
}

// Verdict is what Verify found.
type Verdict struct {
	Cluster    string `json:"cluster"`
	LatestBoot string `json:"latestBoot,omitempty"`
	Throwaway  bool   `json:"throwaway,omitempty"` // see [Manifest.Throwaway]
	Files      int    `json:"files"`
	Bytes      int64  `json:"bytes"`
	// Searched counts the secrets that public was searched for, TooShort those of
	// less than six bytes, which would be found anywhere by chance.
	Searched int      `json:"searchedSecrets"`
	TooShort int      `json:"secretsTooShort,omitempty"`
	Problems []string `json:"problems"`
}

// OK tells that nothing is wrong.
func (v Verdict) OK() bool { return len(v.Problems) == 0 }

// maxExpand bounds what is read into memory for Expand, in bytes.
const maxExpand = 64 << 20

// Verify checks an output folder against its own manifests: every file there,
// none besides, sizes, hashes and modes right, SHA256SUMS in agreement, and no
// secret below public. Each problem is one line, sorted, with its path first. The
// error is for what keeps Verify from judging at all.
func Verify(dir string, o VerifyOptions) (Verdict, error) {
	s := newSearch(o.Secrets)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Verdict{}, explain("verify", filepath.Join(dir, Public), err)
	}
	c := &check{dir: dir, o: o, search: s, v: Verdict{Searched: s.searched, TooShort: s.short, Problems: []string{}}}
	for _, e := range entries {
		if e.Name() != Public && e.Name() != Secret {
			c.problem(e.Name(), "is not from imgforge")
		}
	}
	for _, part := range parts() {
		c.part(part)
	}
	slices.Sort(c.v.Problems)
	return c.v, nil
}

type check struct {
	dir    string
	o      VerifyOptions
	search *search
	v      Verdict
}

func (c *check) problem(path, format string, args ...any) {
	c.v.Problems = append(c.v.Problems, path+": "+fmt.Sprintf(format, args...))
}

// part verifies one of public and secret.
func (c *check) part(part string) {
	m, err := ReadManifest(c.dir, part)
	if err != nil {
		c.problem(part+"/"+ManifestName, "%v", err)
		return
	}
	if c.v.Cluster == "" {
		c.v.Cluster, c.v.LatestBoot, c.v.Throwaway = m.Cluster, m.LatestBoot, m.Throwaway
	} else if c.v.Cluster != m.Cluster || c.v.LatestBoot != m.LatestBoot || c.v.Throwaway != m.Throwaway {
		c.problem(part+"/"+ManifestName, "it is of another build than %s/%s", Public, ManifestName)
	}
	c.folders(part)
	for _, f := range m.Files {
		c.file(part, f)
	}
	c.own(part, m)
	extra, err := unlisted(c.dir, part, m)
	if err != nil {
		c.problem(part, "%v", err)
	}
	for _, path := range extra {
		c.problem(part+"/"+path, "is not in the manifest")
	}
}

// folders checks the mode of every folder of a part.
func (c *check) folders(part string) {
	want, _ := partModes(part)
	err := filepath.WalkDir(filepath.Join(c.dir, part), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != want {
			rel, err := filepath.Rel(c.dir, path)
			if err != nil {
				return err
			}
			c.problem(filepath.ToSlash(rel), "its mode is %04o, not %04o", info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		c.problem(part, "%v", err)
	}
}

// file checks one listed file.
func (c *check) file(part string, f Entry) {
	name := part + "/" + f.Path
	raw := c.o.Disks && f.Disk != nil && f.Disk.SHA256 == f.SHA256
	sum, size, err := c.read(part, f.Path, raw)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.problem(name, "is missing")
	case err != nil:
		c.problem(name, "%v", err)
	case size != f.Size:
		c.problem(name, "it has %d bytes, the manifest says %d", size, f.Size)
	case sum != f.SHA256 && !raw:
		c.problem(name, "its sha256 is %s, the manifest says %s", sum, f.SHA256)
	}
	c.v.Files++
	c.v.Bytes += size
}

// own checks the two files that describe the part.
func (c *check) own(part string, m Manifest) {
	sum, _, err := c.read(part, ManifestName, false)
	if err != nil {
		c.problem(part+"/"+ManifestName, "%v", err)
		return
	}
	if _, _, err := c.read(part, ChecksumsName, false); err != nil {
		c.problem(part+"/"+ChecksumsName, "%v", err)
		return
	}
	if _, _, err := c.read(part, SignatureName, false); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.problem(part+"/"+SignatureName, "%v", err)
	}
	got, err := os.ReadFile(filepath.Join(c.dir, part, ChecksumsName))
	if err != nil || !bytes.Equal(got, m.checksums(sum)) {
		c.problem(part+"/"+ChecksumsName, "it does not agree with %s", ManifestName)
	}
}

// read hashes one file, checks its mode, and searches it when it is public. Of one that
// somebody else reads, it says the size alone.
func (c *check) read(part, rel string, elsewhere bool) (sum string, size int64, err error) {
	name := part + "/" + rel
	path := filepath.Join(c.dir, part, filepath.FromSlash(rel))
	info, err := os.Lstat(path)
	if err != nil {
		return "", 0, err
	}
	if !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("it is not a regular file")
	}
	if _, want := partModes(part); info.Mode().Perm() != want {
		c.problem(name, "its mode is %04o, not %04o", info.Mode().Perm(), want)
	}
	if elsewhere {
		return "", info.Size(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	dst := io.Writer(h)
	var scan *scan
	if part == Public {
		scan = c.search.begin()
		dst = io.MultiWriter(h, scan)
	}
	size, err = io.Copy(dst, f)
	if err != nil {
		return "", size, err
	}
	if scan != nil {
		c.leaks(name, "", scan)
		c.expanded(name, path, size)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// expanded searches what is packed inside a public file.
func (c *check) expanded(name, path string, size int64) {
	if c.o.Expand == nil || size > maxExpand || len(c.o.Secrets) == 0 {
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		c.problem(name, "%v", err)
		return
	}
	for _, inner := range c.o.Expand(name, data) {
		scan := c.search.begin()
		scan.Write(inner) // never fails
		c.leaks(name, " in something packed inside it", scan)
	}
}

// leaks reports what a scan found: the number of the secret, never the secret.
func (c *check) leaks(name, where string, s *scan) {
	for _, i := range s.found() {
		c.problem(name, "it holds secret %d of %d%s: do not publish this folder, build it again and report this as a defect", i+1, len(c.o.Secrets), where)
	}
}
