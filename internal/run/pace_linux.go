package run

import (
	"bytes"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// An app that writes a little very often makes wrapp wake up, send and handle an answer each
// time. So after each read of a pipe that trickles, wrapp pauses, and then reads the output of
// the pause at once. The pipe has room for far more than that. The pause is long only if
// waking up keeps the machine busy. docs/adr/0005 has the measurements.
const (
	trickle = 8 << 10 // bytes: a pipe that trickles has less for a read
	several = 4       // quick reads in a row, which rare lines hardly ever are
)

// paced counts a read of p that returned n, and sets the rest of p. Without data n is 0 or
// less. A pipe trickles after several small reads in a row that are less than a pause apart,
// and as long as each pause brings something.
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

// wait waits for descriptors to read, and returns them in this order. It returns none after
// limit, unless that is 0.
func (in *intake) wait(limit time.Duration) ([]int, error) {
	for _, p := range in.pipes {
		if p.rest > 0 {
			return in.rest(p)
		}
	}
	return in.poll.wait(limit)
}

// rest waits for the pause of p, or until another descriptor is ready. It returns p and the
// others: p first, because its lines are older.
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

// switching measures the rate of context switches of each CPU, on the whole machine, also from
// within a container. It stands for the cost of waking up, of all wrapps and apps together,
// and decides the length of a pause. Programs that only compute hardly change it.
type switching struct {
	count float64   // context switches since the machine's start, at the last sample
	at    time.Time // time of the last sample
	rate  float64   // moving average, switches a second on each CPU
}

const (
	shortest = 500 * time.Microsecond // bounds of a pause
	longest  = 16 * time.Millisecond
	most     = 19_000 // rate from which on a pause is longest

	often  = 250 * time.Millisecond // between samples
	weight = 1. / 4                 // of one sample
)

// pause returns the length of a pause now. It grows with the third power of the rate, so that
// a single wrapp hardly pauses.
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

// switches returns the number of context switches of all CPUs together, and the number of
// CPUs; 0 if the kernel does not say.
func switches() (count, cpus float64) {
	stat, _ := sysio.ReadFile("/proc/stat")
	_, after, _ := bytes.Cut(stat, []byte("\nctxt "))
	digits, _, _ := bytes.Cut(after, []byte("\n"))
	count, _ = strconv.ParseFloat(string(digits), 64)
	return count, float64(bytes.Count(stat, []byte("\ncpu")))
}
