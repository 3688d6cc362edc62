package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A proof causes one kind of fault, many times, while the app writes numbered lines, and
// accounts for every line.
type proof struct {
	name   string
	faults int // with a million lines
	few    int // faults in the quick form
	prove  func(up setup, faults, lines int) error
}

var proofs = []proof{
	{"redis-killed", 50, 5, proveRedisKilled},
	{"redis-stopped", 50, 5, proveRedisStopped},
	{"cuts", 50, 8, proveCuts},
	{"wrapp-killed", 20, 4, proveWrappKilled},
	{"bad-disk", 0, 0, proveBadDisk},
	{"memory", 0, 0, proveMemory},
}

func proofNames() string {
	var names []string
	for _, p := range proofs {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// prove runs the proofs called name, or all, with second writers of the kind who, or all,
// several times; each time with the next seed.
func prove(name, who string, times int, up setup, lines int) error {
	found := false
	for _, p := range proofs {
		if name != p.name && name != "all" {
			continue
		}
		found = true
		if name == "all" && p.name == "bad-disk" && os.Geteuid() != 0 {
			fmt.Println("bad-disk: left out, because mounting file systems wants root")
			continue
		}
		for i := range times {
			up := up.seeded(up.seed + uint64(i))
			seconds, err := secondsOf(who, up.seed)
			if err != nil {
				return err
			}
			for _, up.second = range seconds {
				fmt.Printf("%s: %v, %d lines\n", p.name, up, lines)
				began := time.Now()
				if err := p.run(up, p.faults, lines); err != nil {
					return fmt.Errorf("%s: %v: %w", p.name, up, err)
				}
				fmt.Printf("%s: proven in %v\n", p.name, time.Since(began).Round(100*time.Millisecond))
			}
		}
	}
	if !found {
		return fmt.Errorf("there is no proof %q; there are %s", name, proofNames())
	}
	return nil
}

// seeded returns the setup with another seed.
func (up setup) seeded(seed uint64) setup {
	up.seed, up.entries = seed, entriesKept(seed)
	return up
}

// run runs a proof in a directory of its own, with the app on the leash.
func (p proof) run(up setup, faults, lines int) error {
	up.leashed = true
	up.dir = filepath.Join(up.dir, fmt.Sprintf("%s-%d-%s", p.name, up.seed, up.second))
	if err := os.Mkdir(up.dir, 0o700); err != nil {
		return err
	}
	err := p.prove(up, faults, lines)
	if err == nil { // a directory of many proofs would fill the disk
		err = os.RemoveAll(up.dir)
	}
	return err
}

// A fault happens once the app has written line lines.
type fault struct {
	line  int
	pause time.Duration
	next  int // line of the next fault, or the number of all lines
}

func (f fault) String() string { return fmt.Sprintf("%d", f.line) }

// plan spreads faults over the lines, each at a random line of its part. Most pauses are much
// shorter than longest.
func (r *rig) plan(faults, lines int, longest time.Duration) []fault {
	var plan []fault
	for i := range faults {
		part := lines / faults
		x := r.random.Float64()
		plan = append(plan, fault{
			line:  i*part + r.random.IntN(part),
			pause: time.Duration(x * x * x * float64(longest)),
			next:  lines,
		})
		if i > 0 {
			plan[i-1].next = plan[i].line
		}
	}
	return plan
}

// pace runs apps that write lines, and calls do at each fault of a plan while they go on
// writing. It returns when everything has been delivered.
func (r *rig) pace(plan []fault, lines int, do func(int, fault) error) error {
	fmt.Printf("at lines %v\n", plan)
	if err := r.start(); err != nil {
		return err
	}
	for i, f := range plan {
		if err := r.write(f.line); err != nil {
			return err
		}
		if err := r.main.leash.reached(f.line); err != nil {
			return err
		}
		if err := r.write(f.next); err != nil {
			return err
		}
		if err := do(i, f); err != nil {
			return fmt.Errorf("fault %d, at line %d: %w", i+1, f.line, err)
		}
	}
	if err := r.reached(lines); err != nil {
		return err
	}
	if err := r.delivered(lines); err != nil {
		return err
	}
	return r.end()
}

// write lets the apps write up to line upto.
func (r *rig) write(upto int) error {
	r.allowed.Store(int64(upto))
	return r.each(func(p *program) error { return p.leash.write(upto) })
}

// reached waits until the apps have written n lines.
func (r *rig) reached(n int) error {
	return r.each(func(p *program) error { return p.leash.reached(n) })
}

// delivered waits until all lines of the apps' first runs are in the stream or reported as
// dropped.
func (r *rig) delivered(lines int) error {
	n := len(r.programs())
	return until("all is delivered", func() (bool, error) {
		landed, err := r.server.landed()
		if err == nil && r.account.gaps {
			var said []string
			said, err = r.server.said()
			landed += countDropped(said)
		}
		return landed >= n*(lines+1), err // and the marker of a run
	})
}

// during harms the server with do, and waits until it takes another entry from a wrapp, or has
// all lines below upto.
func (r *rig) during(upto int, do func() error) error {
	before, err := r.server.landed()
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	n := len(r.programs())
	return until("Redis takes another entry", func() (bool, error) {
		now, err := r.server.landed()
		return now != before || now >= n*(upto+1), err
	})
}

// audit accounts for all entries that Redis has got.
func (r *rig) audit() error {
	if err := r.collect(); err != nil {
		return err
	}
	return r.report()
}

// proveRedisKilled kills a durable Redis again and again.
func proveRedisKilled(up setup, faults, lines int) error {
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	fmt.Println("Redis", r.server.version())
	err = r.pace(r.plan(faults, lines, time.Second), lines, func(_ int, f fault) error {
		r.did["redis killed"]++
		return r.during(f.next, func() error {
			r.server.kill()
			time.Sleep(f.pause)
			return r.server.up()
		})
	})
	if err != nil {
		return err
	}
	return r.audit()
}

// proveRedisStopped stops the process of Redis again and again, sometimes until wrapp gives up
// the connection.
func proveRedisStopped(up setup, faults, lines int) error {
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	err = r.pace(r.plan(faults, lines, 4*time.Second), lines, func(_ int, f fault) error {
		r.did["redis stopped"]++
		return r.during(f.next, func() error {
			r.server.stop()
			time.Sleep(f.pause)
			r.server.cont()
			return nil
		})
	})
	if err != nil {
		return err
	}
	return r.audit()
}

// Least sizes in bytes: of a line in a request, and of the reply to a call of the script, for
// 512 lines.
const (
	requestBytes    = 40
	replyBytesOf512 = 24
)

// proveCuts resets the connection in the middle of requests and of replies, again and again,
// sometimes after replies were late or swallowed.
func proveCuts(up setup, faults, lines int) error {
	r, err := newRig(up)
	if err != nil {
		return err
	}
	defer r.close()
	kinds := []string{"cut", "delayed, then cut", "swallowed, then cut"}
	err = r.pace(r.plan(faults, lines, 3*time.Second), lines, func(i int, f fault) error {
		kind, direction := r.random.IntN(len(kinds)), r.random.IntN(2)
		r.did[kinds[kind]]++
		r.did[[...]string{requests: "of requests", replies: "of replies"}[direction]]++
		switch kind {
		case 1:
			r.proxy.delay.Store(int64(f.pause / 20))
			defer r.proxy.delay.Store(0)
		case 2:
			r.proxy.hole.Store(true)
			time.Sleep(f.pause)
		}
		// The remaining lines are enough for the cut to happen.
		left := r.random.IntN(f.next - f.line)
		r.proxy.cut[direction].Store(int64([...]int{requests: left * requestBytes, replies: left * replyBytesOf512 / 512}[direction]))
		r.proxy.hole.Store(false)
		return until("the connection is cut", func() (bool, error) { return r.proxy.cuts.Load() > int64(i), nil })
	})
	if err != nil {
		return err
	}
	return r.audit()
}
