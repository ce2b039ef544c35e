package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/imgforge/imgforge/internal/bootcode"
)

// flippedLog spoils the write-ahead log of a master that is off. While the others are a
// quorum it needs nobody: it sets the data aside and joins anew.
func flippedLog(name string, spoil func([]byte) (int, error), why string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		before, where, err := b.spoiled(ctx, n, "member/wal/*.wal", spoil)
		if err != nil {
			return "", err
		}
		b.Healed()
		if err := b.votesAgain(ctx, n, before, boundVoter); err != nil {
			return "", err
		}
		b.Measure(name+" a voter again, from its power-on", time.Since(n.PoweredOn), aimVoter)
		if _, err := b.Wait(ctx, name+" says what is wrong", soon, n.says("is damaged at byte ")); err != nil {
			return "", err
		}
		kept, err := filepath.Glob(filepath.Join(n.state, "etcd", "member.aside-*"))
		if err != nil || len(kept) == 0 {
			return "", errors.Join(err, errors.New("the damaged data was not kept"))
		}
		return fmt.Sprintf("%s were changed (%s); the helper found it before etcd ran, removed the member, kept the data as %s and joined anew; no command was given",
			where, why, filepath.Base(kept[0])), nil
	}
}

// spoiled takes a master's power, changes the newest file of etcd's data that matches
// pattern, and gives the power back. It says which member the master was before, and
// where the change is.
func (b *bout) spoiled(ctx context.Context, n *Node, pattern string, change func([]byte) (int, error)) (before uint64, where string, err error) {
	if before, err = b.memberOf(ctx, n); err != nil {
		return 0, "", err
	}
	b.Aside(n)
	b.Begun()
	if err := n.PowerOff(ctx); err != nil {
		return 0, "", err
	}
	if where, err = n.spoil(pattern, change); err != nil {
		return 0, "", err
	}
	return before, where, n.PowerOn(ctx)
}

// spoil changes the newest file of etcd's data that matches, and says where.
func (n *Node) spoil(pattern string, change func([]byte) (at int, err error)) (string, error) {
	files, err := filepath.Glob(filepath.Join(n.state, "etcd", pattern))
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, fmt.Errorf("%s has no %s", n.Name, pattern))
	}
	path := files[len(files)-1]
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	at, err := change(data)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return "", err
	}
	return fmt.Sprintf("bytes at %d of %s", at, filepath.Base(path)), f.Sync()
}

// records are where the records of a segment begin: each has its length before it, with
// the padding in the low bits of the highest byte.
func records(segment []byte) (at []int) {
	for i := 0; i+8 <= len(segment); {
		head := binary.LittleEndian.Uint64(segment[i:])
		size := head & (1<<56 - 1)
		if head>>63 == 1 {
			size += head >> 56 & 7
		}
		if size == 0 || size > uint64(len(segment)-i-8) {
			break
		}
		at = append(at, i)
		i += 8 + int(size)
	}
	return at
}

// flipRecord flips bits in the middle of a record in the middle of a log.
func flipRecord(segment []byte) (int, error) {
	all := records(segment)
	if len(all) < 20 {
		return 0, fmt.Errorf("the log has %d records only", len(all))
	}
	i := len(all) / 2
	at := (all[i] + all[i+1]) / 2
	segment[at] ^= 0x55
	return at, nil
}

// flipLength makes the length of a record one that nobody wrote: etcd takes that for
// the end of its log.
func flipLength(segment []byte) (int, error) {
	all := records(segment)
	if len(all) < 20 {
		return 0, fmt.Errorf("the log has %d records only", len(all))
	}
	at := all[len(all)/2] + 5
	segment[at] ^= 0x55
	return at, nil
}

// spoiledDatabase overwrites pages of the database of a master that is off. No checksum
// is over them: etcd finds out, or ends. The code says to boot an empty disk, and
// that is the way back.
func spoiledDatabase(name string) func(context.Context, *bout) (string, error) {
	return func(ctx context.Context, b *bout) (string, error) {
		n, err := b.Named(name)
		if err != nil {
			return "", err
		}
		before, where, err := b.spoiled(ctx, n, "member/snap/db", overwritePages)
		if err != nil {
			return "", err
		}
		said, err := b.saysCode(ctx, n, bootcode.EtcdEnds)
		if err != nil {
			return "", err
		}
		if err := n.replace(ctx, nil); err != nil {
			return "", err
		}
		b.Healed()
		if err := b.votesAgain(ctx, n, before, boundVoter); err != nil {
			return "", err
		}
		b.Measure(name+" a voter again, from its power-on with an empty disk", time.Since(n.PoweredOn), aimVoter)
		return where + " were overwritten; " + said + "; with an empty disk it joined anew", nil
	}
}

// overwritePages fills all but the first pages of a database with something else, as a
// disk does that lost its place.
func overwritePages(db []byte) (int, error) {
	const page = 4096
	first := 2 * page // the heads stay
	if len(db) < 8*page {
		return 0, fmt.Errorf("the database has %d bytes only", len(db))
	}
	for at := first; at+page <= len(db); at += page {
		copy(db[at:], bytes.Repeat([]byte("imgforge"), page/8))
	}
	return first, nil
}
