package forge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/imgforge/imgforge/images/cache"
	"github.com/imgforge/imgforge/images/release"
	"github.com/imgforge/imgforge/internal/artifact"
	"github.com/imgforge/imgforge/internal/plan"
)

// PublishOCIOptions choose what goes where.
type PublishOCIOptions struct {
	Source Source
	// Out is the output folder.
	Out string
	// Repository is HOST/PATH.
	Repository string
	// WithSecrets repeats the repository to which images that are not sealed may go.
	WithSecrets string
	// Download has the authorities in PEM and where progress shows.
	Download DownloadOptions
}

// PublishedOCI is what publishing did.
type PublishedOCI struct {
	// Reference is REPOSITORY@sha256:HEX.
	Reference string `json:"reference"`
	Tag       string `json:"tag"`
	Already   bool   `json:"already"`
	Sent      int    `json:"sent"`
	Present   int    `json:"present"`
	// Unchecked are checks of the folder that were not made, each with the reason.
	Unchecked []string `json:"unchecked"`
}

// PublishOCI verifies an output folder and puts its public part, and the images that
// are sealed, into a repository of a registry.
func (a *App) PublishOCI(ctx context.Context, o PublishOCIOptions) (*PublishedOCI, error) {
	if _, err := release.ParseRepository(o.Repository); err != nil {
		return nil, invalid("", err.Error(), "such as registry.example.org/clusters/demo")
	}
	if o.WithSecrets != "" && o.WithSecrets != o.Repository {
		return nil, invalid("", fmt.Sprintf("--with-secrets names %q and the release goes to %q", o.WithSecrets, o.Repository),
			"repeat the name of the repository that may hold keys in the clear")
	}
	src, err := o.Source.kept()
	if err != nil {
		return nil, err
	}
	verdict, err := a.Verify(src, o.Out, "")
	if err != nil {
		return nil, err
	}
	if err := publishable(o.Out, verdict); err != nil {
		return nil, err
	}
	set, err := releaseOf(o.Out, o.WithSecrets != "")
	if err != nil {
		return nil, err
	}
	target, err := a.target(src, o)
	if err != nil {
		return nil, err
	}
	pushed, err := release.Push(ctx, target, set, sending(o.Download, set))
	if err != nil {
		if _, halfway := errors.AsType[*release.Halted](err); halfway {
			return nil, &Unfinished{err}
		}
		return nil, err
	}
	return &PublishedOCI{Reference: o.Repository + "@" + pushed.Digest, Tag: pushed.Tag, Already: pushed.Already, Sent: pushed.Sent, Present: pushed.Present,
		Unchecked: verdict.Unchecked}, nil
}

// publishable refuses a folder that nobody should boot from.
func publishable(out string, v *Verification) error {
	if v.Throwaway {
		return fmt.Errorf("%s is not published: it was built with a throwaway store, whose keys are gone", out)
	}
	if !v.OK() {
		return fmt.Errorf("%s is not published: %s; the first: %s; see `imgforge verify %[1]s`", out, Counted(len(v.Problems), "problem"), v.Problems[0])
	}
	return nil
}

// releaseOf is what may be published of an output folder that was verified: the
// public part and sealed images; with secrets, the other images as well, never payloads.
func releaseOf(out string, secrets bool) (release.Set, error) {
	m, err := artifact.ReadManifest(out, artifact.Public)
	if err != nil {
		return release.Set{}, err
	}
	set := release.Set{Cluster: m.Cluster, LatestBoot: m.LatestBoot}
	for _, e := range m.Files {
		if open := e.Disk != nil && !e.Disk.Sealed; open && !secrets {
			return release.Set{}, unsealed(artifact.Public + "/" + e.Path)
		}
		set.Files = append(set.Files, member(out, artifact.Public, e))
	}
	for _, own := range []release.File{{Title: artifact.ManifestName, Kind: "manifest", Format: "json"}, {Title: artifact.ChecksumsName, Kind: "checksums", Format: "sha256"},
		{Title: artifact.SignatureName, Kind: "signature", Format: "ed25519"}} {
		own.Source = filepath.Join(out, artifact.Public, own.Title)
		data, err := os.ReadFile(own.Source)
		if err != nil {
			return release.Set{}, err
		}
		own.SHA256, own.Size = cache.Of(data).Hex(), int64(len(data))
		if own.Title == artifact.ManifestName {
			set.Manifest = own.SHA256
		}
		set.Files = append(set.Files, own)
	}
	hidden, err := secretImages(out, secrets)
	set.Files = append(set.Files, hidden...)
	return set, err
}

// secretImages are the images of the secret part that may be published.
func secretImages(out string, secrets bool) ([]release.File, error) {
	m, err := artifact.ReadManifest(out, artifact.Secret)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // taken away by its owner
	}
	if err != nil {
		return nil, err
	}
	var images []release.File
	for _, e := range m.Files {
		switch {
		case e.Disk == nil:
		case !e.Disk.Sealed && !secrets:
			return nil, unsealed(artifact.Secret + "/" + e.Path)
		default:
			images = append(images, member(out, artifact.Secret, e))
		}
	}
	return images, nil
}

func unsealed(path string) error {
	return fmt.Errorf("%s is not sealed: who has it has the keys of its nodes; build it sealed, or repeat the name of a private repository with --with-secrets", path)
}

// member is a file of a part. Those of the secret part keep its name, so that no
// two files have one.
func member(out, part string, e artifact.Entry) release.File {
	f := release.File{Title: e.Path, Kind: e.Kind, Format: e.Format, SHA256: e.SHA256, Size: e.Size,
		Source: filepath.Join(out, part, filepath.FromSlash(e.Path)), Secret: e.Disk != nil && !e.Disk.Sealed}
	if part == artifact.Secret {
		f.Title = artifact.Secret + "/" + e.Path
	}
	return f
}

// target is how the repository is reached: as the cluster file says of its registry,
// where it says anything.
func (a *App) target(src Source, o PublishOCIOptions) (release.Target, error) {
	t := release.Target{Repository: o.Repository}
	var authorities []byte
	var err error
	if o.Download.CA != "" {
		if authorities, err = os.ReadFile(o.Download.CA); err != nil {
			return t, fmt.Errorf("read the authorities: %w", err)
		}
	}
	repo, err := release.ParseRepository(o.Repository)
	if err != nil {
		return t, err
	}
	if c, err := a.load(src, storeFacts(src.storeDir())); err == nil { // verifying said it where there is none
		c.plan.Settings.Registries = slices.DeleteFunc(c.plan.Settings.Registries, func(r plan.Registry) bool { return r.Host != repo.RegistryStr() })
		found, err := a.registries(c, false)
		if err != nil {
			return t, err
		}
		for _, r := range found {
			t.Username, t.Password = r.Username, r.Password
			if r.CA != "" {
				authorities = append(append(authorities, '\n'), r.CA...)
			}
		}
	}
	client, err := cache.NewClient(authorities)
	if err != nil {
		return t, err
	}
	t.Transport = client.Transport
	if tr, ok := client.Transport.(*http.Transport); ok {
		tr.ResponseHeaderTimeout = patience
	}
	return t, nil
}

// patience is how long a registry may think: it hashes gigabytes before it answers.
const patience = 10 * time.Minute

// sending shows what is sent.
func sending(o DownloadOptions, s release.Set) release.Progress {
	var total int64
	for _, f := range s.Files {
		total += f.Size
	}
	switch {
	case o.Progress == nil:
		return nil
	case o.Terminal:
		return cache.Bar(o.Progress)(len(s.Files), total)
	}
	return &sentLines{w: o.Progress, files: len(s.Files)}
}

// sentLines writes a line for each file: for logs.
type sentLines struct {
	w           io.Writer
	done, files int
}

func (l *sentLines) Add(int64) {}
func (l *sentLines) End()      {}

func (l *sentLines) Done(name string) {
	l.done++
	fmt.Fprintf(l.w, "published %s (%d of %d)\n", name, l.done, l.files)
}
