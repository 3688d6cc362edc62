package run

import (
	"bytes"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// An app that writes a little very often has wrapp wake, send and take an answer each
// time. A pipe that trickles is therefore left alone for a pause after each read, and what
// comes meanwhile is read together. It waits in the pipe, which has room for much more than a
// trickle brings in that time. The pause is long only where waking up is what keeps the machine busy.
// docs/adr/0005 has the measurements.
const (
	trickle = 8 << 10 // bytes; what a read brings at most of a pipe that trickles
	several = 4       // reads; lines that come seldom are sometimes close together, but not so often
)

// paced takes note that n bytes were read of p, -1 for none: it trickles if it gives
// little and did so several times running less than a pause apart, and goes on to
// while there is something after each pause.
func (in *intake) paced(p *inlet, n int) {
	rested := p.rest > 0
	p.rest = 0
	if n <= 0 {
		return
	}
	now := time.Now()
	passed := now.Sub(p.when)
	p.when = now
	if n >= trickle || !rested && passed >= longest {
		p.quick = 0
		return
	}
	pause := in.pause(now)
	if !rested && passed >= pause {
		p.quick = 0
	} else if p.quick++; p.quick >= several {
		p.rest = pause
	}
}

// wait returns the descriptors to be looked at, in this order, when there are any,
// or none after limit if that is not 0.
func (in *intake) wait(limit time.Duration) ([]int, error) {
	for _, p := range in.pipes {
		if p.rest > 0 {
			return in.rest(p)
		}
	}
	return in.poll.wait(limit)
}

// rest lets the pause pass for p, or less if there is something else to be looked at,
// and returns p and that: p first, as its lines are older.
func (in *intake) rest(p *inlet) ([]int, error) {
	if err := in.poll.mute(p.fd); err != nil {
		return nil, err
	}
	if err := in.poll.alarm(p.rest); err != nil {
		return nil, err
	}
	ready, err := in.poll.wait(0)
	if err != nil {
		return nil, err
	}
	in.rested = append(append(in.rested[:0], p.fd), ready...)
	return in.rested, in.poll.unmute(p.fd)
}

// switching measures how often each CPU changes from one thread to another, on the whole
// machine, also from within a container. That is what waking up costs, and where many
// wrapps and apps do it the length of a pause follows from it. Programs that only compute
// change little.
type switching struct {
	count float64   // of changes since the machine started, at the last look
	at    time.Time // of that look
	rate  float64   // changes a second on each CPU, lately
}

const (
	shortest = 500 * time.Microsecond // a pause
	longest  = 8 * time.Millisecond
	most     = 15_000 // changes a second on each CPU at which a pause is longest

	often  = 250 * time.Millisecond // between two looks
	weight = 1. / 4                 // of one look
)

// pause returns how long a pipe that trickles is to be left alone now. It grows with the
// third power of the rate, so that a single wrapp has hardly any.
func (s *switching) pause(now time.Time) time.Duration {
	if passed := now.Sub(s.at); passed >= often {
		count, cpus := switches()
		if !s.at.IsZero() && cpus > 0 {
			s.rate += weight * ((count-s.count)/passed.Seconds()/cpus - s.rate)
		}
		s.count, s.at = count, now
	}
	part := min(1, s.rate/most)
	return max(shortest, time.Duration(part*part*part*float64(longest)))
}

// switches returns how often the CPUs have changed from one thread to another, all together,
// and how many CPUs there are; 0 if the kernel does not say.
func switches() (count, cpus float64) {
	stat, _ := sysio.ReadFile("/proc/stat")
	_, after, _ := bytes.Cut(stat, []byte("\nctxt "))
	digits, _, _ := bytes.Cut(after, []byte("\n"))
	count, _ = strconv.ParseFloat(string(digits), 64)
	return count, float64(bytes.Count(stat, []byte("\ncpu")))
}
