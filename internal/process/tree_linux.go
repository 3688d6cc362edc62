package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// procTable is who is whose child, as /proc shows it while it is read.
type procTable struct {
	children map[int][]int
	zombies  map[int][]int  // children that have ended and wait to be reaped
	started  map[int]uint64 // in clock ticks since boot; pid and start name a process for good
	running  map[int]bool   // may start another process before it has a signal that it was sent
}

func readProcs() (*procTable, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	t := &procTable{children: make(map[int][]int), zombies: make(map[int][]int), started: make(map[int]uint64), running: make(map[int]bool)}
	seen := false
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		stat, err := readStat(pid)
		if err != nil {
			continue // it ended meanwhile
		}
		seen = true
		if stat.state == 'Z' || stat.state == 'X' {
			t.zombies[stat.ppid] = append(t.zombies[stat.ppid], pid)
			continue
		}
		t.children[stat.ppid] = append(t.children[stat.ppid], pid)
		t.started[pid] = stat.started
		t.running[pid] = stat.state == 'R' || stat.state == 'S'
	}
	if !seen {
		return nil, errors.New("/proc is not mounted")
	}
	return t, nil
}

type procStat struct {
	state   byte
	ppid    int
	started uint64
}

// readStat reads what is needed of /proc/PID/stat, proc_pid_stat(5). The second
// field is a name in parentheses that may hold anything, parentheses too.
func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// ticksPerSecond is USER_HZ, the unit of the times in /proc on every architecture of Linux's
// that Go has.
const ticksPerSecond = 100

// Started returns when a process started, by the present setting of the clock.
func Started(pid int) (time.Time, error) {
	stat, err := readStat(pid)
	if err != nil {
		return time.Time{}, err
	}
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return time.Time{}, fmt.Errorf("read the time since boot: %w", err)
	}
	age := time.Duration(sinceBoot.Nano()) - time.Duration(stat.started)*time.Second/ticksPerSecond
	return time.Now().Add(-age), nil
}

func parseStat(text []byte) (procStat, error) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, errors.New("no process status: too few fields")
	}
	ppid, err1 := strconv.Atoi(fields[1])
	started, err2 := strconv.ParseUint(fields[19], 10, 64)
	return procStat{fields[0][0], ppid, started}, errors.Join(err1, err2)
}

// below are all descendants of pid but those in or below skip.
func (t *procTable) below(pid int, skip func(int) bool) (pids []int) {
	for _, child := range t.children[pid] {
		if !skip(child) {
			pids = append(pids, child)
			pids = append(pids, t.below(child, skip)...)
		}
	}
	return pids
}

// signal sends sig to pid if that is still the process that the table shows.
func (t *procTable) signal(pid int, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		if !errors.Is(err, syscall.ESRCH) {
			syscall.Kill(pid, sig) // a kernel without pidfds
		}
		return
	}
	defer unix.Close(fd)
	if stat, err := readStat(pid); err == nil && stat.started == t.started[pid] {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); errors.Is(err, syscall.ENOSYS) {
			syscall.Kill(pid, sig)
		}
	}
}

// Times of ending a tree.
const (
	treePoll    = 20 * time.Millisecond // between looks for new descendants
	killTimeout = 5 * time.Second       // after SIGKILL, for what hangs in the kernel
)

// endTree ends what is left of an ended app's tree: its stop signal at once to
// each process found, SIGKILL at the deadline. As the reaper of orphans we find
// all of it below us, whatever sessions and groups it has made. It returns when
// nothing is left.
func (s *Supervisor) endTree(p *Process, deadline time.Time) {
	if p.cmd.StopTimeout == 0 {
		deadline = time.Now()
	}
	told := make(map[int]uint64) // pid to start time, of those that have the stop signal
	for {
		reaped := s.nextReap()
		now := time.Now()
		if now.After(deadline.Add(killTimeout)) {
			return
		}
		if !s.signalTree(p, !now.Before(deadline), told) {
			return
		}
		select {
		case <-reaped:
		case <-time.After(treePoll):
		}
	}
}

// signalTree sends what is due to each process of the tree, and says whether
// there may be any.
//
// A process that is started while /proc is read may be missed, but not the child
// of ours that it descends from: that one may have ended meanwhile, and is then a
// zombie, because it is not reaped while the lock is held. So nothing is left
// only when there is no zombie either.
func (s *Supervisor) signalTree(p *Process, kill bool, told map[int]uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if childless() {
		return false
	}
	table, err := readProcs()
	if err != nil {
		return s.signalGroup(p, kill)
	}
	skip := func(pid int) bool {
		return s.foreign[pid] || s.procs[pid] != nil && s.procs[pid] != p
	}
	pids := table.below(os.Getpid(), skip)
	for _, pid := range pids {
		switch {
		case kill:
			table.signal(pid, syscall.SIGKILL)
		case told[pid] != table.started[pid]:
			told[pid] = table.started[pid]
			table.signal(pid, p.cmd.StopSignal)
			table.signal(pid, syscall.SIGCONT)
		}
	}
	return len(pids) > 0 || slices.ContainsFunc(table.zombies[os.Getpid()], func(pid int) bool { return !skip(pid) })
}

// Kill sends SIGKILL to the process and to all below it, whatever sessions and groups
// that has made. Orphans are not below it any more; those of its group are ended
// with a Tool. Kill does not wait; for what it has killed, Gone of a Tool does.
func (p *Process) Kill() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return
	}
	below := make(map[int]uint64) // pid to start time
	// What is stopped starts nothing that the next look would miss. One that is just
	// starting something stops when that is there.
	syscall.Kill(p.pid, syscall.SIGSTOP)
	until := time.Now().Add(stopTimeout)
	for more := true; more; {
		table, err := readProcs()
		if err != nil {
			break // the group will do
		}
		more = table.running[p.pid]
		for _, pid := range table.below(p.pid, func(int) bool { return false }) {
			more = more || table.running[pid]
			if below[pid] != table.started[pid] {
				below[pid], more = table.started[pid], true
				table.signal(pid, syscall.SIGSTOP)
			}
		}
		more = more && time.Now().Before(until)
	}
	p.killed = procTable{started: below}
	for pid := range below {
		p.killed.signal(pid, syscall.SIGKILL)
	}
	syscall.Kill(p.pid, syscall.SIGKILL)
}

// stopTimeout is how long Kill waits for what it has stopped to be stopped.
const stopTimeout = 200 * time.Millisecond

// endTool returns when nothing is left of an ended tool's process group, which reap has
// killed, and of what Kill has killed.
func (p *Process) endTool() {
	for until := time.Now().Add(killTimeout); time.Now().Before(until); {
		reaped := p.s.nextReap()
		if syscall.Kill(-p.pid, 0) != nil && !p.killed.any() {
			return
		}
		select {
		case <-reaped:
		case <-time.After(treePoll):
		}
	}
}

// any says whether any of the processes is still there.
func (t *procTable) any() bool {
	for pid, started := range t.started {
		if stat, err := readStat(pid); err == nil && stat.started == started {
			return true
		}
	}
	return false
}

// childless says whether this process has no child at all, not even a zombie: then
// there is no need to look through /proc, which takes its time.
func childless() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return errors.Is(err, unix.ECHILD)
}

// signalGroup is signalTree where there is no /proc: it reaches the app's
// process group, which is gone when no signal can be sent to it.
func (s *Supervisor) signalGroup(p *Process, kill bool) bool {
	sig := p.cmd.StopSignal
	if kill {
		sig = syscall.SIGKILL
	}
	if syscall.Kill(-p.pid, sig) != nil {
		return false
	}
	syscall.Kill(-p.pid, syscall.SIGCONT)
	return true
}

// dumpingCore says whether the kernel is writing the core of a process just now.
func dumpingCore(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	return err == nil && bytes.Contains(text, []byte("\nCoreDumping:\t1\n"))
}

// Has says whether pid is the app or a living process of its tree.
func (p *Process) Has(pid int) bool {
	for pid > 1 {
		if pid == p.pid {
			return true
		}
		stat, err := readStat(pid)
		if err != nil {
			return false
		}
		if stat.ppid == os.Getpid() {
			// An orphan came to us from the app's tree, unless it was here
			// before or is the top of another tree.
			p.s.mu.Lock()
			defer p.s.mu.Unlock()
			return !p.s.foreign[pid] && p.s.procs[pid] == nil
		}
		pid = stat.ppid
	}
	return false
}
