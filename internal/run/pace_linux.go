package run

import "time"

// An app that writes a little very often would have us wake, send and take an
// answer each time. A pipe that trickles is therefore left alone for a pace after
// each read: what comes meanwhile is read together. It waits in the pipe, which
// has room for much more than a trickle brings in that time. docs/adr/0005 has
// the measurements.
const (
	pace    = 8 * time.Millisecond
	trickle = 8 << 10 // bytes; what a read brings at most of a pipe that trickles
	several = 4       // reads; lines that come every 10 ms are sometimes late, but not so often
)

// paced takes note that n bytes were read of p, -1 for none: it trickles if it gives
// little and did so several times running less than a pace apart, and goes on to
// while there is something after each pace.
func (in *intake) paced(p *inlet, n int) {
	rested := p.resting
	p.resting = false
	if n <= 0 {
		return
	}
	now := time.Now()
	if n >= trickle || !rested && now.Sub(p.when) >= pace {
		p.quick = 0
	} else {
		p.quick++
	}
	p.resting = p.quick >= several
	p.when = now
}

// wait returns the descriptors to be looked at, in this order, when there are any,
// or none after limit if that is not 0.
func (in *intake) wait(limit time.Duration) ([]int, error) {
	for _, p := range in.pipes {
		if p.resting {
			return in.rest(p)
		}
	}
	return in.poll.wait(limit)
}

// rest lets a pace pass for p, or less if there is something else to be looked at,
// and returns p and that: p first, as its lines are older.
func (in *intake) rest(p *inlet) ([]int, error) {
	if err := in.poll.mute(p.fd); err != nil {
		return nil, err
	}
	ready, err := in.poll.wait(pace)
	if err != nil {
		return nil, err
	}
	in.rested = append(append(in.rested[:0], p.fd), ready...)
	return in.rested, in.poll.unmute(p.fd)
}
