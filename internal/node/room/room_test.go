package room

import "testing"

func TestWanted(t *testing.T) {
	const mib = 1 << 20
	roomy, full := disk{1000 * mib, 500 * mib, 450 * mib}, disk{1000 * mib, mib - 1, 0}
	for name, c := range map[string]struct {
		have uint64
		disk
		want uint64
	}{
		"a disk with room":                          {0, roomy, size},
		"it is kept":                                {size, roomy, size},
		"nearly full: nothing more is taken":        {0, disk{1000 * mib, 165 * mib, 165 * mib}, 0},
		"as much as the kubelet does not evict for": {0, disk{1000 * mib, 166 * mib, 166 * mib}, size},
		"the rest of what was given back":           {size - part, disk{1000 * mib, 154 * mib, 154 * mib}, size},
		"what only root may take is not free":       {0, disk{1000 * mib, 200 * mib, 150 * mib}, 0},
		"but the kubelet may take it":               {size, disk{1000 * mib, 50 * mib, 0}, size},
		"full: a part at a time":                    {size, full, size - part},
		"full, the last part":                       {part, full, 0},
		"full, and a part of another size":          {mib, full, 0},
		"full, and there is nothing more":           {0, full, 0},
		"a disk that is smaller than the room":      {0, disk{8 * mib, 8 * mib, 8 * mib}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := wanted(c.have, c.disk); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
