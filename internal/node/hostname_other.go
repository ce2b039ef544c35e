//go:build !linux

package node

import "errors"

func setHostname(string) error { return errors.New("a node runs Linux") }
