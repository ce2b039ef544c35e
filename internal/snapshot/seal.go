package snapshot

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"filippo.io/age"
)

// Label is the first line inside of a sealed snapshot.
type Label struct {
	Version int    `json:"imgforge"` // 1
	Cluster string `json:"cluster"`
	// Token is the cluster's own, whatever it was restored from.
	Token string `json:"token"`
	// Etcd is the id of the etcd cluster, in hex as etcdctl prints it.
	Etcd     string    `json:"etcd"`
	Node     string    `json:"node"`
	Revision int64     `json:"revision"` // it holds this one, or a later one
	Time     time.Time `json:"time"`     // when it was begun
}

// version of the label.
const version = 1

// Errors that callers tell apart. The text of each ends a sentence.
var (
	ErrForeign   = errors.New("it was sealed by another cluster, or with another encryption key")
	ErrDamaged   = errors.New("it is damaged or cut short")
	ErrUnlabeled = errors.New("it was not made by imgforge-node")
)

// Seal writes a snapshot that plain produces as etcd sends it, and checks on the way
// that it ends with the hash of itself.
func Seal(to io.Writer, k Key, recipients []string, l Label, plain func(io.Writer) error) error {
	all, err := k.recipients(recipients)
	if err != nil {
		return err
	}
	l.Version = version
	line, err := json.Marshal(l)
	if err != nil {
		return err
	}
	w, err := age.Encrypt(to, all...)
	if err != nil {
		return fmt.Errorf("seal the snapshot: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("seal the snapshot: %w", err)
	}
	c := newChecker(w)
	if err := plain(c); err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return fmt.Errorf("what etcd sent: %w", err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("seal the snapshot: %w", err)
	}
	return nil
}

// Open writes a sealed snapshot's plain bytes to out, its hash included, and returns
// what it says of itself. Until it returns without an error, nothing that it wrote
// may be used.
func Open(out io.Writer, sealed io.Reader, ids ...age.Identity) (Label, error) {
	r, err := age.Decrypt(sealed, ids...)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return Label{}, ErrForeign
	}
	if err != nil {
		return Label{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b := bufio.NewReaderSize(r, 64<<10)
	line, err := b.ReadSlice('\n')
	var l Label
	if err != nil || json.Unmarshal(line, &l) != nil || l.Version != version {
		return Label{}, ErrUnlabeled
	}
	c := newChecker(out)
	if _, err := io.Copy(c, b); err != nil {
		return Label{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err := c.check(); err != nil {
		return Label{}, err
	}
	return l, nil
}

// checker passes a snapshot on, and knows whether its last 32 bytes are the SHA-256 of
// all before them.
type checker struct {
	to   io.Writer
	sum  hash.Hash
	tail []byte // not hashed yet
}

func newChecker(to io.Writer) *checker { return &checker{to: to, sum: sha256.New()} }

func (c *checker) Write(p []byte) (int, error) {
	if n, err := c.to.Write(p); err != nil {
		return n, err
	}
	if over := len(c.tail) + len(p) - sha256.Size; over > 0 {
		first := min(over, len(c.tail))
		c.sum.Write(c.tail[:first])
		c.sum.Write(p[:over-first])
		c.tail = append(append(c.tail[:0], c.tail[first:]...), p[over-first:]...)
	} else {
		c.tail = append(c.tail, p...)
	}
	return len(p), nil
}

// check tells whether all went through. An empty database is 512-byte pages too, so
// that nothing but a hash is no snapshot.
func (c *checker) check() error {
	if len(c.tail) < sha256.Size || !bytes.Equal(c.sum.Sum(nil), c.tail) || bytes.Equal(c.tail, sha256.New().Sum(nil)) {
		return ErrDamaged
	}
	return nil
}
