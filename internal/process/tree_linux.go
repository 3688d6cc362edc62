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

// A procTable has the children of each pid: a snapshot of /proc that may be torn.
type procTable struct {
	children map[int][]int  // living ones
	zombies  map[int][]int  // children that have ended and wait to be reaped
	started  map[int]uint64 // start time of each pid, in clock ticks since boot, which makes it unique
	running  map[int]bool   // state R or S: may still start a process before a signal arrives
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
			continue // the process ended meanwhile
		}
		seen = true
		if stat.ended() {
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
	state   byte // of the first thread
	ppid    int
	threads int // that have not ended, and the first one
	started uint64
	flags   uint64
}

// ended reports whether all threads have ended. The first one may end before others, and is a
// zombie until they have ended, too.
func (s procStat) ended() bool { return (s.state == 'Z' || s.state == 'X') && s.threads <= 1 }

// readStat reads /proc/PID/stat, proc_pid_stat(5). The second field is a name in parentheses
// that may have any bytes in it, also parentheses.
func readStat(pid int) (procStat, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(text)
}

// ticksPerSecond is USER_HZ, the unit of the times in /proc. It is 100 on every Linux architecture
// that Go supports.
const ticksPerSecond = 100

// Started returns when a process started, by the present setting of the clock.
func Started(pid int) (time.Time, error) {
	stat, err := readStat(pid)
	if err != nil {
		return time.Time{}, err
	}
	return stat.startTime()
}

// ending are the flags PF_EXITING and PF_SIGNALED of a process that is about to end. The latter is
// set before the kernel begins a core.
const ending = 0x4 | 0x400

// LivesSince reports whether a process of that number started before an instant and is not about
// to end. The kernel completes a core while the process still exists.
func LivesSince(pid int, at time.Time) bool {
	stat, err := readStat(pid)
	if err != nil || stat.flags&ending != 0 {
		return false
	}
	started, err := stat.startTime()
	return err == nil && started.Before(at)
}

func (s procStat) startTime() (time.Time, error) {
	var sinceBoot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &sinceBoot); err != nil {
		return time.Time{}, fmt.Errorf("read the time since boot: %w", err)
	}
	return time.Now().Add(s.afterBoot() - time.Duration(sinceBoot.Nano())), nil
}

// afterBoot returns the time from boot to the start of the process.
func (s procStat) afterBoot() time.Duration {
	return time.Duration(s.started) * (time.Second / ticksPerSecond)
}

func parseStat(text []byte) (procStat, error) {
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return procStat{}, errors.New("parse a process status: too few fields")
	}
	ppid, err1 := strconv.Atoi(fields[1])
	flags, err2 := strconv.ParseUint(fields[6], 10, 64)
	threads, err3 := strconv.Atoi(fields[17])
	started, err4 := strconv.ParseUint(fields[19], 10, 64)
	return procStat{fields[0][0], ppid, threads, started, flags}, errors.Join(err1, err2, err3, err4)
}

// below returns all descendants of pid but the skipped ones and theirs.
func (t *procTable) below(pid int, skip func(int) bool) (pids []int) {
	for _, child := range t.children[pid] {
		if !skip(child) {
			pids = append(pids, child)
			pids = append(pids, t.below(child, skip)...)
		}
	}
	return pids
}

// signal sends sig to pid if that is still the same process as in the table. A kernel without pidfds
// leaves that unchecked.
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
	treePoll    = 20 * time.Millisecond // between searches for new descendants
	killTimeout = 5 * time.Second       // from SIGKILL to giving up a process that hangs in the kernel
)

// endTree ends the rest of an ended app's tree: it sends each process the stop signal at once,
// and SIGKILL at the deadline. All of them are our descendants, whatever their session and group,
// because orphans are re-parented to us. endTree returns when none is left, or killTimeout after
// its first SIGKILL. The app's own end may have outlasted the deadline, as by a large core.
func (s *Supervisor) endTree(p *Process, deadline time.Time) {
	began := time.Now()
	if p.cmd.StopTimeout == 0 || deadline.Before(began) {
		deadline = began
	}
	stopped := make(map[int]uint64) // start time of each pid that was sent the stop signal; without /proc: the group
	for {
		reaped := s.nextReap()
		now := time.Now()
		if now.After(deadline.Add(killTimeout)) {
			return
		}
		if !s.signalTree(p, !now.Before(deadline), stopped) {
			return
		}
		select {
		case <-reaped:
		case <-time.After(treePoll):
		}
	}
}

// signalTree sends each process of the tree SIGKILL, or the stop signal unless it is in stopped,
// and reports whether any may be left.
//
// It may miss a process that starts while /proc is read. But that process descends from a child of
// ours, and the table has this child: alive, or as a zombie, since we hold the lock and nothing
// reaps it. So the tree is gone only when there is no zombie either.
func (s *Supervisor) signalTree(p *Process, kill bool, stopped map[int]uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if childless() {
		return false
	}
	table, err := readProcs()
	if err != nil {
		return s.signalTreeByGroup(p, kill, stopped)
	}
	skip := func(pid int) bool {
		return s.foreign[pid] || s.procs[pid] != nil && s.procs[pid] != p
	}
	pids := table.below(os.Getpid(), skip)
	for _, pid := range pids {
		switch {
		case kill:
			table.signal(pid, syscall.SIGKILL)
		case stopped[pid] != table.started[pid]:
			stopped[pid] = table.started[pid]
			table.signal(pid, p.cmd.StopSignal)
			table.signal(pid, syscall.SIGCONT)
		}
	}
	return len(pids) > 0 || slices.ContainsFunc(table.zombies[os.Getpid()], func(pid int) bool { return !skip(pid) })
}

// Kill sends SIGKILL to the process and its descendants in any session and group. It misses
// orphans, which are no descendants any more; the end of a Tool kills those of its group. Kill
// takes up to suspendTimeout, with the lock held, and does not wait for their end; Gone of a Tool
// does.
func (p *Process) Kill() {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.procs[p.pid] != p {
		return
	}
	below := make(map[int]uint64) // pid to start time
	// Stop them all first: a stopped process starts none that the next pass would miss. A
	// process that is just forking stops when its child exists.
	syscall.Kill(p.pid, syscall.SIGSTOP)
	until := time.Now().Add(suspendTimeout)
	for more := true; more; {
		table, err := readProcs()
		if err != nil {
			break // no /proc: the end of a Tool kills its group
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

// suspendTimeout is how long Kill waits for its SIGSTOPs to take effect.
const suspendTimeout = 200 * time.Millisecond

// endTool waits until an ended tool's process group, which reap has killed, and the processes
// that Kill has killed are gone.
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

// any reports whether any process of the table still exists.
func (t *procTable) any() bool {
	for pid, started := range t.started {
		if stat, err := readStat(pid); err == nil && stat.started == started {
			return true
		}
	}
	return false
}

// childless reports whether this process has no child, not even a zombie. It saves a search
// through /proc, which is slow.
func childless() bool {
	err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return errors.Is(err, unix.ECHILD)
}

// signalTreeByGroup is signalTree without /proc: it reaches only the app's process group, which is
// gone when no signal can be sent to it. The caller holds the lock.
func (s *Supervisor) signalTreeByGroup(p *Process, kill bool, stopped map[int]uint64) bool {
	group := -p.pid
	switch _, sent := stopped[group]; {
	case kill:
		return syscall.Kill(group, syscall.SIGKILL) == nil
	case sent:
		return syscall.Kill(group, 0) == nil
	}
	stopped[group] = 0
	syscall.Kill(group, p.cmd.StopSignal)
	return syscall.Kill(group, syscall.SIGCONT) == nil
}

// dumpingCore reports whether the kernel is writing the core of a process.
func dumpingCore(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	return err == nil && bytes.Contains(text, []byte("\nCoreDumping:\t1\n"))
}

// Has reports whether pid is the app or a process of its tree that was not reaped.
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
			// An orphan was re-parented to us from the app's tree, unless it existed before us
			// or is the root of another tree.
			p.s.mu.Lock()
			defer p.s.mu.Unlock()
			return !p.s.foreign[pid] && p.s.procs[pid] == nil
		}
		pid = stat.ppid
	}
	return false
}
