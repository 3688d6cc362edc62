package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A program is a wrapp and its app, in one run after the other.
type program struct {
	up    setup
	dir   string // of its configuration, its log and the app's progress files
	first int    // its first run has the next number
	leash *leash // nil: the app writes at its own pace

	run    int // number of the present run
	cmd    *exec.Cmd
	log    *os.File
	wrote  map[int]int       // lines written by an app on the leash, by run
	kills  map[int]time.Time // time of wrapp's SIGKILL, by run
	stored map[int]int       // lines known to be in the spool of a killed wrapp, by run
	peakKB int               // largest resident size of a wrapp
}

// family is the most runs that a program may have.
const family = 1_000_000

// newProgram makes the number-th program, in the existing directory dir, for the Redis at addr.
func newProgram(up setup, number int, dir, spool, addr string) (p *program, err error) {
	p = &program{
		up: up, dir: dir, first: number * family, run: number * family,
		wrote: make(map[int]int), kills: make(map[int]time.Time), stored: make(map[int]int),
	}
	size := up.spoolSize
	if size == "" {
		size = "1GiB"
	}
	config := fmt.Sprintf("[redis]\nurl = 'redis://%s'\n[app]\nexecutable = %q\nstream_name = %q\nstop_timeout = '2m'\n[logs]\nmax_entries = %d\n[spool]\ndrain_timeout = '1m'\ndir = %q\nsize = %q\nwhen_full = %q\n",
		addr, up.self, name, up.entries, spool, size, map[bool]string{true: "block", false: "drop_oldest"}[up.block])
	if err := os.WriteFile(filepath.Join(dir, "wrapp.toml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	if up.leashed {
		if p.leash, err = newLeash(); err != nil {
			return nil, err
		}
	}
	p.log, err = os.Create(filepath.Join(dir, "wrapp.log"))
	return p, err
}

// start begins the next run.
func (p *program) start() error {
	p.run++
	p.cmd = exec.Command(p.up.wrapp, filepath.Join(p.dir, "wrapp.toml"))
	p.cmd.Env = append(os.Environ(), appEnv+"="+p.dir, fmt.Sprintf("%s=%d", runEnv, p.run), fmt.Sprintf("%s=%d %d", textEnv, p.up.seed, p.up.width))
	if p.leash != nil {
		p.cmd.Env = append(p.cmd.Env, leashEnv+"="+p.leash.addr())
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil || p.leash == nil {
		return err
	}
	return p.leash.catch()
}

// stop sends wrapp a signal, and waits until it and its app have ended.
func (p *program) stop(sig syscall.Signal) {
	if p.cmd == nil {
		return
	}
	if sig == syscall.SIGKILL {
		p.kills[p.run] = time.Now()
	}
	p.peakKB = max(p.peakKB, peak(p.cmd.Process.Pid))
	p.cmd.Process.Signal(sig)
	p.cmd.Wait()
	p.cmd = nil
	if p.leash != nil {
		p.wrote[p.run], _ = p.leash.wrote()
	}
	for pid := p.appPID(); pid > 0 && syscall.Kill(pid, 0) == nil; time.Sleep(time.Millisecond) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// status is the exit status of a proof's app, and so of its wrapp.
const status = 7

// end makes the app end by itself, and waits for wrapp.
func (p *program) end() error {
	p.wrote[p.run], _ = p.leash.wrote()
	if err := p.leash.exit(status); err != nil {
		return err
	}
	p.peakKB = max(p.peakKB, peak(p.cmd.Process.Pid))
	p.cmd.Wait()
	got := p.cmd.ProcessState.ExitCode()
	p.cmd = nil
	if got != status {
		return fmt.Errorf("wrapp ended with %d and its app with %d", got, status)
	}
	return nil
}

func (p *program) close() {
	p.stop(syscall.SIGKILL)
	if p.leash != nil {
		p.leash.close()
	}
	p.log.Close()
}

// peak returns the largest resident size that a process has had, in KiB.
func peak(pid int) (kb int) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscan(rest, &kb)
	return kb
}

func (p *program) appPID() (pid int) {
	f, err := os.Open(p.progressFile(p.run))
	if err != nil {
		return 0
	}
	defer f.Close()
	fmt.Fscanf(f, "pid %d\n", &pid)
	return pid
}

func (p *program) progressFile(run int) string {
	return filepath.Join(p.dir, fmt.Sprintf("run-%d", run))
}
