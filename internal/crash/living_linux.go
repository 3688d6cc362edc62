package crash

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
	"github.com/lpportorino/jettison-base-images/internal/process"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// A life records what /proc shows of an app while it lives: a zombie no longer shows it.
type life struct {
	pid  int
	proc string // /proc/PID
	exe  string // at first the path that was started

	mu   sync.Mutex
	dirs []string     // past and present working directories of the tree
	tree map[int]bool // pids seen in the tree
	snapshot
	before oomCount        // of the last update; if the group counts kills, of the one before it
	latest oomCount        // of the last update
	asked  bool            // group is known to be the app's
	memory corefile.Memory // of the app's last update
	found  bool            // owns has seen a core with that memory
	noCore bool            // the app has ended without a core
}

// A snapshot is what the kernel showed at the last update.
type snapshot struct {
	status status
	limits string // of /proc/PID/limits
	group  cgroup
}

func (l *life) seen() snapshot {
	l.mu.Lock()
	s := l.snapshot
	l.mu.Unlock()
	return s
}

// program returns the file that the app runs, and its number of threads.
func (l *life) program() (exe string, threads int) {
	l.mu.Lock()
	exe, threads = l.exe, l.status.number("Threads:")
	l.mu.Unlock()
	return exe, threads
}

// Pauses between updates. They begin short because an app changes its directory early.
const (
	firstPause = 2 * time.Millisecond
	lastPause  = time.Second
)

// Bounds of a life.
const (
	maxDirs  = 64
	maxTree  = 4096
	maxTasks = 256 // threads of one process whose children are visited
)

// newLife returns the life of an app that was just started. count must be from just before
// the start, of the cgroup that the app starts in: the app may be killed before the first
// update.
func newLife(pid int, path, dir string, count oomCount) *life {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	return &life{
		pid: pid, proc: "/proc/" + strconv.Itoa(pid), exe: path,
		dirs: []string{dir}, tree: map[int]bool{pid: true},
		snapshot: snapshot{group: count.group}, before: count, latest: count,
	}
}

// update records what /proc shows now.
func (l *life) update() {
	l.mu.Lock()
	if exe, err := os.Readlink(l.proc + "/exe"); err == nil {
		l.exe = exe
	}
	if auxv, _ := sysio.ReadFile(l.proc + "/auxv"); len(auxv) > 0 {
		l.memory = corefile.MemoryOf(auxv)
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
			// Weak evidence must be recent.
			l.before = countOOM(l.group)
		case alive && !status.killed():
			// The last update counted only kills of other processes: the kernel
			// counts before it kills, and the status, read after that count, shows
			// no pending kill of this app. The new count may include this app.
			l.before, l.latest = l.latest, countOOM(l.group)
		}
	}
	l.visit(l.pid, 0)
	l.mu.Unlock()
}

// visit records the pids and working directories of a process and its descendants.
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

// forget makes room for further pids in a full tree: it drops those of ended processes.
// Call it after a search for their cores.
func (l *life) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tree) < maxTree {
		return
	}
	maps.DeleteFunc(l.tree, func(pid int, _ bool) bool {
		_, err := os.Stat("/proc/" + strconv.Itoa(pid))
		return err != nil
	})
}

// owns says whether a core, written last at an instant, is from this app's tree: from the app, its
// process group, a process seen in the tree, or a child of one. Where several containers share a
// directory for cores, other processes have the same numbers; owns refuses a core of a number that a
// living process has, and one that cannot be the app's.
func (l *life) owns(c *corefile.Origin, written time.Time) bool {
	l.mu.Lock()
	ours := c.PID == l.pid || c.Group == l.pid || l.tree[c.PID] || l.tree[c.PPID]
	if c.PID == l.pid {
		// Other memory alone proves nothing: the app may have executed itself again since
		// the last update.
		l.found = l.found || c.Memory == l.memory
		ours = !l.noCore && (!l.found || c.Memory == l.memory)
	}
	l.mu.Unlock()
	return ours && !process.LivesSince(c.PID, written)
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

// number returns a field's number; memory is in KiB.
func (s status) number(name string) int {
	text, _ := word(string(s), name)
	text, _, _ = strings.Cut(text, " ")
	n, _ := strconv.Atoi(text)
	return n
}

// killed says whether a SIGKILL is pending for the process.
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

// limit finds a limit in the text of /proc/PID/limits. Names of limits contain blanks.
func limit(limits, name string) (soft, hard string) {
	_, rest, _ := strings.Cut(limits, name)
	line, _, _ := strings.Cut(rest, "\n")
	if f := strings.Fields(line); len(f) >= 2 {
		return f[0], f[1]
	}
	return "", ""
}
