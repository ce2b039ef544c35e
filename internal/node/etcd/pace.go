package etcd

import "time"

// pacer makes looks rarer while nothing moves: to twelve times the pace.
type pacer struct{ first, now time.Duration }

func (p *pacer) next(moved bool) time.Duration {
	if moved || p.now == 0 {
		p.now = p.first
		return p.now
	}
	p.now = min(p.now*5/4, 12*p.first)
	return p.now
}
