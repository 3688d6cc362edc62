package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	name = "torture"
	key  = "logs:app:" + name + ":info"
)

// A rig is everything that is tormented, and the account of it.
type rig struct {
	setup
	random  *rand.Rand
	server  *server
	proxy   *proxy
	account *account

	run    int
	cmd    *exec.Cmd
	log    *os.File
	did    map[string]int
	wrote  map[int]int // lines, by run; of apps on the leash
	peakKB int         // the largest resident size of a wrapp
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
	leash     *leash // nil: the app writes at its own pace
}

func newRig(up setup) (*rig, error) {
	s, err := newServer(up.dir, !up.volatile)
	if err != nil {
		return nil, err
	}
	p, err := newProxy(s.addr())
	if err != nil {
		s.kill()
		return nil, err
	}
	r := &rig{
		setup: up, random: rand.New(rand.NewPCG(up.seed, 0)),
		server: s, proxy: p, account: newAccount(up.text), did: make(map[string]int), wrote: make(map[int]int),
	}
	config := fmt.Sprintf("[redis]\nurl = 'redis://%s'\n[app]\nexecutable = %q\nstream_name = %q\n[logs]\nmax_entries = %d\n[spool]\ndir = %q\nsize = %q\nwhen_full = %q\n",
		p.addr(), up.self, name, up.entries, cmp.Or(up.spool, filepath.Join(up.dir, "spool")), cmp.Or(up.spoolSize, "1GiB"),
		map[bool]string{true: "block", false: "drop_oldest"}[up.block])
	if err := os.WriteFile(filepath.Join(up.dir, "wrapp.toml"), []byte(config), 0o600); err != nil {
		return r, err
	}
	r.log, err = os.Create(filepath.Join(up.dir, "wrapp.log"))
	return r, err
}

// keeps says how many entries a stream keeps: with half of the seeds few, so that
// most of what landed cannot be found any more.
func keeps(seed uint64) int {
	if seed%2 == 0 {
		return 1000
	}
	return 1_000_000_000
}

func (r *rig) close() {
	r.endWrapp(syscall.SIGKILL)
	r.server.cont()
	r.server.kill()
	r.proxy.l.Close()
	r.proxy.reset()
	if r.leash != nil {
		r.leash.close()
	}
}

// startWrapp begins the next run.
func (r *rig) startWrapp() error {
	r.run++
	r.cmd = exec.Command(r.wrapp, filepath.Join(r.dir, "wrapp.toml"))
	r.cmd.Env = append(os.Environ(), appEnv+"="+r.dir, fmt.Sprintf("%s=%d", runEnv, r.run), fmt.Sprintf("%s=%d %d", textEnv, r.seed, r.width))
	if r.leash != nil {
		r.cmd.Env = append(r.cmd.Env, leashEnv+"="+r.leash.addr())
	}
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil || r.leash == nil {
		return err
	}
	return r.leash.catch()
}

// endWrapp sends wrapp a signal, and waits until it and its app have ended.
func (r *rig) endWrapp(sig syscall.Signal) {
	if r.cmd == nil {
		return
	}
	if sig == syscall.SIGKILL {
		r.account.killed(r.run, time.Now())
	}
	r.peakKB = max(r.peakKB, peak(r.cmd.Process.Pid))
	r.cmd.Process.Signal(sig)
	r.cmd.Wait()
	r.cmd = nil
	if r.leash != nil {
		r.wrote[r.run], _ = r.leash.wrote()
	}
	for pid := r.appPID(); pid > 0 && syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// peak is the largest resident size that a process has had, in KiB.
func peak(pid int) (kb int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscan(rest, &kb)
	return kb
}

func (r *rig) appPID() (pid int) {
	f, err := os.Open(r.notes(r.run))
	if err != nil {
		return 0
	}
	defer f.Close()
	fmt.Fscanf(f, "pid %d\n", &pid)
	return pid
}

func (r *rig) notes(run int) string { return filepath.Join(r.dir, fmt.Sprintf("run-%d", run)) }

// torment does one thing after the other.
func (r *rig) torment(ctx context.Context, duration time.Duration) error {
	if err := r.startWrapp(); err != nil {
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
		r.proxy.cut.Store(int64(amount))
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
		r.endWrapp(syscall.SIGKILL)
		return r.startWrapp()
	default:
		did("wrapp stopped")
		r.endWrapp(syscall.SIGTERM)
		return r.startWrapp()
	}
	return nil
}

// settle ends the run in peace and has everything delivered.
func (r *rig) settle() error {
	r.endWrapp(syscall.SIGTERM)
	r.proxy.cut.Store(never)
	for i := 0; ; i++ {
		// A wrapp that stops before all is delivered leaves it to the next.
		if err := r.startWrapp(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		r.endWrapp(syscall.SIGTERM)
		left, err := filepath.Glob(filepath.Join(r.dir, "spool", name, "*.seg"))
		if err != nil || len(left) == 0 {
			break
		}
		if i == 20 {
			return fmt.Errorf("the spool does not get empty: %q", left)
		}
	}
	return r.collect()
}

// collect takes everything that Redis has ever been given into the account.
func (r *rig) collect() error {
	return r.server.replay(func(args []string) error {
		switch {
		case args[0] == "DEL" && args[1] == key:
			r.account.generation++
		case args[0] == "XADD":
			at := slices.Index(args, "message")
			if at < 2 || at+1 >= len(args) {
				return fmt.Errorf("no entry of ours: %q", args)
			}
			if args[1] == key {
				r.account.add(args[at-1], args[at+1])
			} else {
				r.account.said = append(r.account.said, args[at+1])
			}
		}
		return nil
	})
}
