package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
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

// A rig is everything that is tormented, and the account of it.
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

// A setup is what a rig is made of.
type setup struct {
	dir         string // of everything
	wrapp, self string // executables; self is also the app
	text
	spool     string // its directory; empty: one in dir
	spoolSize string // empty: more than is needed
	block     bool   // wait when it is full, or its disk is slow
	entries   int    // that the stream keeps
	volatile  bool   // Redis saves nothing
	leashed   bool   // the app writes up to the line that its leash allows; else at its own pace
	second    second // who else writes
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
	// A wrapp without a spool drops lines while Redis is away.
	r.account.shared = up.second == shared
	r.account.gaps = up.second == shared && !up.block
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

// programs are the wrapps with their apps.
func (r *rig) programs() []*program {
	if r.twin == nil {
		return []*program{r.main}
	}
	return []*program{r.main, r.twin}
}

// each does the same with all programs.
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

// runs is how many runs there were.
func (r *rig) runs() (n int) {
	for _, p := range r.programs() {
		n += p.run - p.first
	}
	return n
}

// peakKB is the largest resident size of a wrapp.
func (r *rig) peakKB() (kb int) {
	for _, p := range r.programs() {
		kb = max(kb, p.peakKB)
	}
	return kb
}

// entriesKept says how many entries a stream keeps: with half of the seeds few, so that
// most of what landed cannot be found any more.
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

// torment does one thing after the other.
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

// torture does one thing.
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

// any is one of the programs.
func (r *rig) any() *program {
	programs := r.programs()
	return programs[r.random.IntN(len(programs))]
}

// drain ends the run in peace and has everything delivered.
func (r *rig) drain() error {
	for _, p := range r.programs() {
		p.stop(syscall.SIGTERM)
	}
	r.proxy.uncut()
	for _, p := range r.programs() {
		for i := 0; ; i++ {
			// A wrapp that stops before all is delivered leaves it to the next.
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

// collect takes everything that Redis has ever been given into the account, and
// compares what that is after a restart with the stream.
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
	c, err := r.server.dial(func(net.Conn) {})
	if err != nil {
		return err
	}
	defer c.Close()
	return r.account.stream.compare(c)
}
