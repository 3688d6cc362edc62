package crash

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A life is what is remembered of an app while it lives, because a zombie does
// not tell it any more.
type life struct {
	pid  int
	proc string // /proc/PID
	exe  string // set from the start, to what was started

	mu      sync.Mutex
	dirs    []string       // where it, or a child, has worked
	tree    map[int]bool   // pids that there have been
	memory  map[string]int // of /proc/PID/status, in KiB
	threads int
	limits  map[string]limit
	group   cgroup
	before  oomCount // when last looked at; if the group counts kills, the time before that
	latest  oomCount // when last looked at
	asked   bool     // group and the counts are known
}

// A limit is a line of /proc/PID/limits.
type limit struct{ soft, hard string }

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

func newLife(pid int, path, dir string) *life {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &life{
		pid: pid, proc: filepath.Join("/proc", strconv.Itoa(pid)), exe: path,
		dirs: []string{dir}, tree: map[int]bool{pid: true},
	}
}

// look remembers what can be seen now.
func (l *life) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if exe, err := os.Readlink(filepath.Join(l.proc, "exe")); err == nil {
		l.exe = exe
	}
	memory, threads := readMemory(l.proc)
	if memory["VmHWM"] > 0 {
		l.memory, l.threads = memory, threads
	}
	if limits := readLimits(l.proc); limits != nil {
		l.limits = limits
		switch {
		case !l.asked:
			l.asked = true
			l.group = cgroupOf(l.proc)
			l.latest = countOOM(l.group)
			l.before = l.latest
		case !l.before.counted:
			// Weak evidence has to be of just now.
			l.before = countOOM(l.group)
		case memory["VmHWM"] > 0 && !killed(l.proc):
			// What was counted a while ago was not this app, but a process
			// beside it. The kernel counts first and kills then.
			l.before, l.latest = l.latest, countOOM(l.group)
		}
	}
	l.visit(l.pid, 0)
}

// visit remembers where a process and those below it work.
func (l *life) visit(pid, depth int) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	if dir, err := os.Readlink(filepath.Join(proc, "cwd")); err == nil && !slices.Contains(l.dirs, dir) {
		l.dirs = append(l.dirs, dir)
		if len(l.dirs) > maxDirs {
			l.dirs = slices.Delete(l.dirs, 1, 2)
		}
	}
	tasks, err := os.ReadDir(filepath.Join(proc, "task"))
	if err != nil || depth > 32 {
		return
	}
	for _, task := range tasks[:min(len(tasks), maxTasks)] {
		text, err := os.ReadFile(filepath.Join(proc, "task", task.Name(), "children"))
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
	defer l.mu.Unlock()
	return c.pid == l.pid || c.pgrp == l.pid || l.tree[c.pid] || l.tree[c.ppid]
}

func (l *life) places() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.dirs)
}

// readMemory is what /proc/PID/status says of memory, in KiB, and of threads.
func readMemory(proc string) (memory map[string]int, threads int) {
	text, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return nil, 0
	}
	memory = make(map[string]int)
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case !ok || len(fields) == 0:
		case name == "Threads":
			threads, _ = strconv.Atoi(fields[0])
		case len(fields) == 2 && fields[1] == "kB":
			memory[name], _ = strconv.Atoi(fields[0])
		}
	}
	return memory, threads
}

// killed says whether a SIGKILL is on its way to a process.
func killed(proc string) bool {
	const bit = 1 << (syscall.SIGKILL - 1)
	for _, name := range []string{"SigPnd:", "ShdPnd:"} {
		text, _ := fileWord(filepath.Join(proc, "status"), name)
		if set, err := strconv.ParseUint(text, 16, 64); err == nil && set&bit != 0 {
			return true
		}
	}
	return false
}

// readLimits reads /proc/PID/limits, of which the names have blanks in them and
// the columns a fixed width.
func readLimits(proc string) map[string]limit {
	text, err := os.ReadFile(filepath.Join(proc, "limits"))
	if err != nil || len(text) == 0 {
		return nil
	}
	limits := make(map[string]limit)
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if len(line) < 27 {
			continue
		}
		if f := strings.Fields(line[26:]); len(f) >= 2 {
			limits[strings.TrimSpace(line[:26])] = limit{f[0], f[1]}
		}
	}
	return limits
}
