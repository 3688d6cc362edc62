package crash

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// A life is what is remembered of an app while it lives, because a zombie does
// not tell it any more.
type life struct {
	pid  int
	proc string // /proc/PID
	exe  string // set from the start, to what was started

	mu   sync.Mutex
	dirs []string     // where it, or a child, has worked
	tree map[int]bool // pids that there have been
	sight
	before oomCount // when last looked at; if the group counts kills, the time before that
	latest oomCount // when last looked at
	asked  bool     // group is known to be the app's
}

// A sight is what the kernel told when it was asked last.
type sight struct {
	status status
	limits string // of /proc/PID/limits
	group  cgroup
}

func (l *life) seen() sight {
	l.mu.Lock()
	s := l.sight
	l.mu.Unlock()
	return s
}

// program is the file that the app runs, and its number of threads.
func (l *life) program() (exe string, threads int) {
	l.mu.Lock()
	exe, threads = l.exe, l.status.number("Threads:")
	l.mu.Unlock()
	return exe, threads
}

// Times of looking at the app: often at first, because an app goes to its
// directory early.
const (
	firstLook = 2 * time.Millisecond
	lastLook  = time.Second
)

// Bounds of what is remembered.
const (
	maxDirs  = 64
	maxTree  = 4096
	maxTasks = 256 // threads of one process of which the children are looked for
)

// newLife begins with what was counted, just before the app was started, in the group in
// which it starts: it may be killed before it is looked at for the first time.
func newLife(pid int, path, dir string, count oomCount) *life {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &life{
		pid: pid, proc: "/proc/" + strconv.Itoa(pid), exe: path,
		dirs: []string{dir}, tree: map[int]bool{pid: true},
		sight: sight{group: count.group}, before: count, latest: count,
	}
}

// look remembers what can be seen now.
func (l *life) look() {
	l.mu.Lock()
	if exe, err := os.Readlink(l.proc + "/exe"); err == nil {
		l.exe = exe
	}
	status := readStatus(l.proc)
	alive := status.number("VmHWM:") > 0
	if alive {
		l.status = status
	}
	if limits, _ := sysio.ReadFile(l.proc + "/limits"); len(limits) > 0 {
		l.limits = string(limits)
		switch {
		case !l.asked && alive:
			l.asked = true
			if group := cgroupOf(l.proc); group != l.group {
				l.group = group
				l.latest = countOOM(group)
				l.before = l.latest
			}
		case !l.before.counted:
			// Weak evidence has to be of just now.
			l.before = countOOM(l.group)
		case alive && !status.killed():
			// What had been counted when it was last looked at was not this
			// app, but a process beside it: the kernel counts first and kills
			// then, and no kill was on its way in this status, which was read
			// later. What is counted now may be this app.
			l.before, l.latest = l.latest, countOOM(l.group)
		}
	}
	l.visit(l.pid, 0)
	l.mu.Unlock()
}

// visit remembers where a process and those below it work.
func (l *life) visit(pid, depth int) {
	proc := "/proc/" + strconv.Itoa(pid)
	if dir, err := os.Readlink(proc + "/cwd"); err == nil && !slices.Contains(l.dirs, dir) {
		l.dirs = append(l.dirs, dir)
		if len(l.dirs) > maxDirs {
			l.dirs = slices.Delete(l.dirs, 1, 2)
		}
	}
	tasks, err := sysio.Names(proc + "/task")
	if err != nil || depth > 32 {
		return
	}
	for _, task := range tasks[:min(len(tasks), maxTasks)] {
		text, err := sysio.ReadFile(proc + "/task/" + task + "/children")
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(word)
			if err != nil || len(l.tree) >= maxTree && !l.tree[child] {
				continue
			}
			l.tree[child] = true
			l.visit(child, depth+1)
		}
	}
}

// owns says whether a core is of this app's tree: of the app itself, or of its
// process group, or of a process that was seen in the tree or was started by one.
func (l *life) owns(c *core) bool {
	l.mu.Lock()
	ours := c.pid == l.pid || c.pgrp == l.pid || l.tree[c.pid] || l.tree[c.ppid]
	l.mu.Unlock()
	return ours
}

func (l *life) places() []string {
	l.mu.Lock()
	dirs := slices.Clone(l.dirs)
	l.mu.Unlock()
	return dirs
}

// A status is the text of /proc/PID/status.
type status string

func readStatus(proc string) status {
	text, _ := sysio.ReadFile(proc + "/status")
	return status(text)
}

// number is the number behind a name; memory is in KiB.
func (s status) number(name string) int {
	text, _ := word(string(s), name)
	text, _, _ = strings.Cut(text, " ")
	n, _ := strconv.Atoi(text)
	return n
}

// killed says whether a SIGKILL is on its way to the process.
func (s status) killed() bool {
	const bit = 1 << (syscall.SIGKILL - 1)
	for _, name := range [...]string{"SigPnd:", "ShdPnd:"} {
		text, _ := word(string(s), name)
		if set, err := strconv.ParseUint(text, 16, 64); err == nil && set&bit != 0 {
			return true
		}
	}
	return false
}

// limit finds a limit in /proc/PID/limits, of which the names have blanks in them.
func limit(limits, name string) (soft, hard string) {
	_, rest, _ := strings.Cut(limits, name)
	line, _, _ := strings.Cut(rest, "\n")
	if f := strings.Fields(line); len(f) >= 2 {
		return f[0], f[1]
	}
	return "", ""
}
