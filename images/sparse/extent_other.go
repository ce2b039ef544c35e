//go:build !linux

package sparse

import "os"

// extent takes the whole file for data: zeros are found by looking at them.
func extent(_ *os.File, offset, size int64) (from, to int64, err error) { return offset, size, nil }
