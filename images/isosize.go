package images

import "fmt"

// ISOSize is how many bytes [WriteISOFrom] writes for the same label and sources.
func ISOSize(label string, sources []Source) (int64, error) {
	l, err := newLayout(label, sources)
	if err != nil {
		return 0, fmt.Errorf("measure image %q: %w", label, err)
	}
	return int64(l.sectors) * sector, nil
}
