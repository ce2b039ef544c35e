package payload

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
)

// References are the files of an output folder's public part that a payload of any
// format fetches, as [FetchedPath] names them, sorted. What the user's own Butane
// fetches from elsewhere is not among them.
func References(payload []byte) ([]string, error) {
	payload, err := unpack(payload)
	if err != nil {
		return nil, fmt.Errorf("read payload: %w", err)
	}
	named := regexp.MustCompile(`/(` + FetchedPath("") + `[0-9a-f]{64})\b`)
	var found []string
	note := func(text string) {
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			found = append(found, m[1])
		}
	}
	if bytes.HasPrefix(payload, []byte(cloudHeader)) {
		note(string(payload))
	} else {
		c, err := anyConfig(payload)
		if err != nil {
			return nil, fmt.Errorf("read payload: %w", err)
		}
		for _, f := range c.Storage.Files {
			note(value(f.Contents.Source))
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
