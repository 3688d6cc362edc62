package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	name      = "torture"
	key       = "logs:app:" + name + ":info"
	statusKey = "logs:app:" + name + ":status"
)

// A rig is the programs, their Redis, and the account of the lines.
type rig struct {
	setup
	random   *rand.Rand
	server   *server
	proxy    *proxy
	main     *program
	twin     *program  // nil: the second writer is not a wrapp
	stranger *stranger // nil: the second writer is not a stranger
	account  *account
	did      map[string]int
	allowed  atomic.Int64 // lines that the apps have been let write
}

// A setup has the parameters of a rig.
type setup struct {
	dir         string // of all files
	wrapp, self string // executables; self is also the app
	text
	spool     string // directory; empty: one in dir
	spoolSize string // empty: more than needed
	block     bool   // when_full = "block"
	entries   int    // max_entries
	volatile  bool   // Redis saves nothing
	leashed   bool   // the app is on a leash; else it writes at its own pace
	second    second // the second writer
}

func (s setup) String() string {
	return fmt.Sprintf("seed %d, %d entries kept, second writer %s", s.seed, s.entries, s.second)
}

func newRig(up setup) (*rig, error) {
	s, err := newServer(up.dir, !up.volatile)
	if err != nil {
		return nil, err
	}
	p, err := newProxy(s)
	if err != nil {
		s.kill()
		return nil, err
	}
	r := &rig{
		setup: up, random: rand.New(rand.NewPCG(up.seed, 0)),
		server: s, proxy: p, account: newAccount(up.text), did: make(map[string]int),
	}
	// With a shared spool one wrapp has only its memory, and drops lines while Redis is away; with
	// block only when its app has ended.
	r.account.shared = up.second == shared
	r.account.gaps = r.account.shared
	spool := cmp.Or(up.spool, filepath.Join(up.dir, "spool"))
	if r.main, err = newProgram(up, 0, up.dir, spool, p.addr()); err != nil {
		return r, err
	}
	switch up.second {
	case twin, shared:
		dir := filepath.Join(up.dir, "twin")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return r, err
		}
		if up.second == twin {
			spool = filepath.Join(dir, "spool")
		}
		r.twin, err = newProgram(up, 1, dir, spool, p.addr())
	case light, full, ahead:
		began := time.Now()
		r.stranger = newStranger(up.second, s, func() int64 {
			if up.leashed {
				return 10_000 + 3*r.allowed.Load()
			}
			return int64(15_000 * time.Since(began).Seconds())
		})
	}
	return r, err
}

// programs returns the wrapps with their apps.
func (r *rig) programs() []*program {
	if r.twin == nil {
		return []*program{r.main}
	}
	return []*program{r.main, r.twin}
}

// each calls f with each program.
func (r *rig) each(f func(*program) error) error {
	for _, p := range r.programs() {
		if err := f(p); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) start() error { return r.each((*program).start) }
func (r *rig) end() error   { return r.each((*program).end) }

// runs returns how many runs there were.
func (r *rig) runs() (n int) {
	for _, p := range r.programs() {
		n += p.run - p.first
	}
	return n
}

// peakKB returns the largest resident size of a wrapp.
func (r *rig) peakKB() (kb int) {
	for _, p := range r.programs() {
		kb = max(kb, p.peakKB)
	}
	return kb
}

// entriesKept returns how many entries a stream keeps: few with even seeds, so that most landed
// entries are trimmed.
func entriesKept(seed uint64) int {
	if seed%2 == 0 {
		return 1000
	}
	return 1_000_000_000
}

func (r *rig) close() {
	for _, p := range []*program{r.main, r.twin} {
		if p != nil {
			p.close()
		}
	}
	r.server.cont()
	r.stopStranger()
	r.server.kill()
	r.proxy.l.Close()
	r.proxy.reset()
}

// stopStranger ends the stranger.
func (r *rig) stopStranger() {
	if r.stranger != nil {
		r.stranger.stop()
	}
}

// torment causes random faults, one after the other.
func (r *rig) torment(ctx context.Context, duration time.Duration) error {
	if err := r.start(); err != nil {
		return err
	}
	for end := time.Now().Add(duration); time.Now().Before(end) && ctx.Err() == nil; {
		what := r.random.IntN(100)
		pause := time.Duration(r.random.IntN(700)) * time.Millisecond
		amount := r.random.IntN(200_000)
		if err := r.torture(what, pause, amount); err != nil {
			return err
		}
		time.Sleep(time.Duration(r.random.IntN(500)) * time.Millisecond)
	}
	return nil
}

// torture causes one fault.
func (r *rig) torture(what int, pause time.Duration, amount int) error {
	did := func(what string) { r.did[what]++ }
	switch {
	case what < 25:
		did("cut")
		if r.random.IntN(2) == 0 {
			r.proxy.cut[requests].Store(int64(amount))
		} else {
			r.proxy.cut[replies].Store(int64(amount / 100)) // a reply for many lines
		}
	case what < 35:
		did("reset")
		r.proxy.reset()
	case what < 45:
		did("delay")
		r.proxy.delay.Store(int64(pause / 20))
		time.Sleep(pause)
		r.proxy.delay.Store(0)
	case what < 53:
		did("black hole")
		r.proxy.hole.Store(true)
		time.Sleep(4 * pause)
		r.proxy.hole.Store(false)
	case what < 65:
		did("redis stopped")
		r.server.stop()
		time.Sleep(4 * pause)
		r.server.cont()
	case what < 80:
		did("redis killed")
		r.server.kill()
		time.Sleep(3 * pause)
		return r.server.up()
	case what < 85:
		did("stream deleted")
		return r.server.remove(key)
	case what < 95:
		did("wrapp killed")
		p := r.any()
		p.stop(syscall.SIGKILL)
		return p.start()
	default:
		did("wrapp stopped")
		p := r.any()
		p.stop(syscall.SIGTERM)
		return p.start()
	}
	return nil
}

// any returns a random program.
func (r *rig) any() *program {
	programs := r.programs()
	return programs[r.random.IntN(len(programs))]
}

// drain stops the programs and starts wrapps until everything is delivered.
func (r *rig) drain() error {
	for _, p := range r.programs() {
		p.stop(syscall.SIGTERM)
	}
	r.proxy.uncut()
	for _, p := range r.programs() {
		for i := 0; ; i++ {
			// A wrapp that stops before everything is delivered leaves the rest to the next.
			if err := p.start(); err != nil {
				return err
			}
			time.Sleep(time.Second)
			p.stop(syscall.SIGTERM)
			left, err := filepath.Glob(filepath.Join(p.dir, "spool", name, "*.seg"))
			if err != nil || len(left) == 0 {
				break
			}
			if i == 20 {
				return fmt.Errorf("the spool does not get empty: %q", left)
			}
		}
	}
	return r.collect()
}

// collect adds everything that Redis ever executed to the account, and compares the stream
// after a restart with what the account expects.
func (r *rig) collect() error {
	r.stopStranger()
	r.server.kill()
	if err := r.server.up(); err != nil {
		return err
	}
	file, err := r.server.file()
	if err != nil {
		return err
	}
	h := history{executed: r.account.execute, replayed: r.account.stream.apply}
	if err := h.read(file, r.server.restarts); err != nil {
		return err
	}
	r.account.torn = h.torn
	c, err := r.server.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return r.account.stream.compare(c)
}
