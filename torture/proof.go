package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A proof does one kind of thing to wrapp or its Redis, many times, while the app
// writes numbered lines, and accounts for every one of them.
type proof struct {
	name   string
	faults int // with a million lines
	few    int // faults, where it is to be quick
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

// prove does the proofs of a name, with their full number of faults.
func prove(name string, up setup, lines int) error {
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
		fmt.Printf("%s: seed %d, %d lines\n", p.name, up.seed, lines)
		began := time.Now()
		if err := p.run(up, p.faults, lines); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("%s: proven in %v\n", p.name, time.Since(began).Round(100*time.Millisecond))
	}
	if !found {
		return fmt.Errorf("there is no proof %q; there are %s", name, proofNames())
	}
	return nil
}

// run does a proof in a directory of its own, with the app on the leash.
func (p proof) run(up setup, faults, lines int) error {
	up.dir = filepath.Join(up.dir, p.name)
	if err := os.Mkdir(up.dir, 0o700); err != nil {
		return err
	}
	return p.prove(up, faults, lines)
}

// leashed makes a rig whose app is on the leash.
func leashed(up setup) (r *rig, err error) {
	if up.leash, err = newLeash(up.dir); err != nil {
		return nil, err
	}
	return newRig(up)
}

// A fault is what happens once the app has written so many lines.
type fault struct {
	line   int
	pause  time.Duration
	amount int // of something
}

func (f fault) String() string { return fmt.Sprintf("%d", f.line) }

// plan spreads faults over the lines, each somewhere in a part of its own. Pauses
// are up to longest: most are much shorter.
func (r *rig) plan(faults, lines int, longest time.Duration, most int) []fault {
	var plan []fault
	for i := range faults {
		part := lines / faults
		x := r.random.Float64()
		plan = append(plan, fault{
			line:   i*part + r.random.IntN(part),
			pause:  time.Duration(x * x * x * float64(longest)),
			amount: r.random.IntN(most),
		})
	}
	return plan
}

// pace runs an app that writes lines, and does something at each fault of a plan
// while the app goes on writing. It returns when all has been delivered.
func (r *rig) pace(plan []fault, lines int, do func(int, fault) error) error {
	fmt.Printf("at lines %v\n", plan)
	if err := r.startWrapp(); err != nil {
		return err
	}
	for i, f := range plan {
		next := lines
		if i+1 < len(plan) {
			next = plan[i+1].line
		}
		if err := r.leash.write(next); err != nil {
			return err
		}
		if err := r.leash.reached(f.line); err != nil {
			return err
		}
		if err := do(i, f); err != nil {
			return fmt.Errorf("fault %d, at line %d: %w", i+1, f.line, err)
		}
	}
	if err := r.leash.reached(lines); err != nil {
		return err
	}
	if err := r.delivered(lines); err != nil {
		return err
	}
	return r.end()
}

// delivered waits until the last of some lines is the last entry of its stream.
func (r *rig) delivered(lines int) error {
	last := string(r.line(nil, r.run, lines-1))
	return until("all is delivered", func() (bool, error) {
		newest, err := r.server.newest()
		return newest == last, err
	})
}

// status is what the app of a proof ends with, and so must wrapp.
const status = 7

// end ends the app, which is to be unharmed, and waits for wrapp.
func (r *rig) end() error {
	r.wrote[r.run], _ = r.leash.wrote()
	if err := r.leash.exit(status); err != nil {
		return err
	}
	r.peakKB = max(r.peakKB, peak(r.cmd.Process.Pid))
	r.cmd.Wait()
	got := r.cmd.ProcessState.ExitCode()
	r.cmd = nil
	if got != status {
		return fmt.Errorf("wrapp ended with %d and its app with %d", got, status)
	}
	return nil
}

// audit accounts for what Redis has got.
func (r *rig) audit() error {
	if err := r.collect(); err != nil {
		return err
	}
	return r.report()
}

// proveRedisKilled kills a durable Redis again and again.
func proveRedisKilled(up setup, faults, lines int) error {
	r, err := leashed(up)
	if err != nil {
		return err
	}
	defer r.close()
	fmt.Println("Redis", r.server.version())
	err = r.pace(r.plan(faults, lines, time.Second, 1), lines, func(_ int, f fault) error {
		r.did["redis killed"]++
		r.server.kill()
		time.Sleep(f.pause)
		if err := r.server.up(); err != nil {
			return err
		}
		return r.server.taking()
	})
	if err != nil {
		return err
	}
	return r.audit()
}

// proveRedisStopped stops Redis in its tracks again and again, up to a time after
// which wrapp gives up the connection.
func proveRedisStopped(up setup, faults, lines int) error {
	r, err := leashed(up)
	if err != nil {
		return err
	}
	defer r.close()
	err = r.pace(r.plan(faults, lines, 4*time.Second, 1), lines, func(_ int, f fault) error {
		r.did["redis stopped"]++
		r.server.stop()
		time.Sleep(f.pause)
		r.server.cont()
		return r.server.taking()
	})
	if err != nil {
		return err
	}
	return r.audit()
}

// proveCuts resets the connection in the middle of a reply, again and again, some
// of them after replies were late or swallowed.
func proveCuts(up setup, faults, lines int) error {
	r, err := leashed(up)
	if err != nil {
		return err
	}
	defer r.close()
	kinds := []string{"cut", "delayed, then cut", "swallowed, then cut"}
	most := max(1, lines/faults*8) // bytes of replies, which have 20 each and more
	err = r.pace(r.plan(faults, lines, 3*time.Second, most), lines, func(i int, f fault) error {
		kind := r.random.IntN(len(kinds))
		r.did[kinds[kind]]++
		switch kind {
		case 1:
			r.proxy.delay.Store(int64(f.pause / 20))
			defer r.proxy.delay.Store(0)
		case 2:
			r.proxy.hole.Store(true)
			time.Sleep(f.pause)
		}
		r.proxy.cut.Store(int64(f.amount))
		r.proxy.hole.Store(false)
		return until("the connection is cut", func() (bool, error) { return r.proxy.cuts.Load() > int64(i), nil })
	})
	if err != nil {
		return err
	}
	return r.audit()
}

// told is how many lines were dropped, as :status says.
func (a *account) told() (dropped int) {
	for _, text := range a.said {
		var n int
		if _, err := fmt.Sscanf(text, "%d lines dropped", &n); err == nil {
			dropped += n
		}
	}
	return dropped
}

func (a *account) says(text string) bool {
	return slices.ContainsFunc(a.said, func(said string) bool { return strings.Contains(said, text) })
}
