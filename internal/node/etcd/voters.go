package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
)

// readVoters counts the members with a vote in the database of data that no etcd has
// open, and is 0 when it does not say. It is what that node's etcd had written down
// last, a tenth of a second (defaultBatchInterval of etcd's backend package) before a
// power cut.
func readVoters(dir string) (voters int, err error) {
	db, err := bbolt.Open(filepath.Join(dir, "member", "snap", "db"), 0o600, &bbolt.Options{ReadOnly: true, Timeout: time.Second})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the members of etcd: %w", err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		members := tx.Bucket([]byte("members"))
		if members == nil {
			return nil
		}
		return members.ForEach(func(_, value []byte) error {
			var m struct {
				Learner bool `json:"isLearner"`
			}
			if err := json.Unmarshal(value, &m); err != nil {
				return fmt.Errorf("read a member of etcd: %w", err)
			}
			if !m.Learner {
				voters++
			}
			return nil
		})
	})
	return voters, err
}
