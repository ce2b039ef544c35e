//go:build !linux

package room

import "errors"

// Nodes run Linux; elsewhere this only compiles.

func diskOf(string) (disk, error) { return disk{}, errors.ErrUnsupported }

func allocate(string, uint64) error { return errors.ErrUnsupported }
