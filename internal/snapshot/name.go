package snapshot

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Latest is the name that stands for the newest snapshot of a folder.
const Latest = "latest.db.age"

const (
	stamp  = "20060102T150405Z"
	ending = ".db.age"
)

// Name tells when a snapshot was begun, in UTC to the second, and at which revision
// of etcd: it holds that revision or a later one. Names sort by time.
type Name struct {
	Time     time.Time
	Revision int64
}

// String is a file's name, such as etcd-20261121T183000Z-r0000012345.db.age.
func (n Name) String() string {
	return fmt.Sprintf("etcd-%s-r%010d%s", n.Time.UTC().Format(stamp), n.Revision, ending)
}

var nameForm = regexp.MustCompile(`^etcd-(\d{8}T\d{6}Z)-r(\d{10,19})\.db\.age$`)

// ParseName reads the name of a file, without folders. Other files are not ok.
func ParseName(file string) (n Name, ok bool) {
	m := nameForm.FindStringSubmatch(file)
	if m == nil {
		return Name{}, false
	}
	at, err := time.Parse(stamp, m[1])
	if err != nil {
		return Name{}, false
	}
	revision, err := strconv.ParseInt(m[2], 10, 64)
	n = Name{at, revision}
	return n, err == nil && n.String() == file
}

// Compare sorts names from old to new.
func (n Name) Compare(o Name) int { return strings.Compare(n.String(), o.String()) }

// Confirm refuses the latest of some snapshots when another one holds more: revisions of
// a cluster only rise, so that one of the two was named by a clock that was wrong, and
// only a person can tell which one to restore. The error says what to do.
func (n Name) Confirm(among []Name) error {
	most := n
	for _, o := range among {
		if o.Revision > most.Revision {
			most = o
		}
	}
	if most == n {
		return nil
	}
	return fmt.Errorf("%s is the latest by the time in its name, and %s holds a higher revision: a clock was wrong, or they are of two clusters; write the exact name of the one to restore into etcd.restoreFrom", n, most)
}
