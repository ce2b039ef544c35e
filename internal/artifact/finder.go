package artifact

// Finder finds any of many secrets in streams, in all their usual encodings.
type Finder struct{ search *search }

// NewFinder prepares the search for secrets. Those of less than six bytes would be
// found anywhere by chance and are left out.
func NewFinder(secrets [][]byte) *Finder { return &Finder{newSearch(secrets)} }

// Begin begins a stream.
func (f *Finder) Begin() *FinderStream { return &FinderStream{f.search.begin()} }

// FinderStream is one stream that is searched while it is written.
type FinderStream struct{ scan *scan }

// Write never fails.
func (s *FinderStream) Write(p []byte) (int, error) { return s.scan.Write(p) }

// Found are the secrets seen so far, by their number from 0, sorted.
func (s *FinderStream) Found() []int { return s.scan.found() }
