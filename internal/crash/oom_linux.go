package crash

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// A cgroup is the group in which the kernel counts an app's memory. The zero cgroup has no
// counts.
type cgroup struct {
	dir string
	v2  bool
}

// cgroupOf finds a process's memory cgroup from /proc. Inside a container the path may be
// the host's, and the mount may show only a part of it.
func cgroupOf(proc string) cgroup {
	membership, err := sysio.ReadFile(proc + "/cgroup")
	if err != nil {
		return cgroup{}
	}
	mounts, err := sysio.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return cgroup{}
	}
	return findCgroup(string(membership), string(mounts), func(dir, file string) bool {
		_, err := os.Stat(filepath.Join(dir, file))
		return err == nil
	})
}

func findCgroup(membership, mounts string, has func(dir, file string) bool) cgroup {
	var first, second *string // the paths in the two versions
	for _, line := range strings.Split(membership, "\n") {
		f := strings.SplitN(line, ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[1] == "" {
			second = &f[2]
		} else if listed(f[1], "memory") {
			first = &f[2]
		}
	}
	for _, line := range strings.Split(mounts, "\n") {
		// 36 35 98:0 /root /mount/point options [tags] - type source superoptions
		left, right, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(left), strings.Fields(right)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		v2 := g[0] == "cgroup2"
		path, file := second, "memory.events"
		if !v2 {
			path, file = first, "memory.failcnt"
		}
		if path == nil || !v2 && (g[0] != "cgroup" || !listed(g[2], "memory")) {
			continue
		}
		root, point := f[3], f[4]
		rel, ok := strings.CutPrefix(*path, strings.TrimSuffix(root, "/"))
		if !ok {
			rel = ""
		}
		for _, dir := range [...]string{filepath.Join(point, rel), point} {
			if has(dir, file) {
				return cgroup{dir, v2}
			}
		}
	}
	return cgroup{}
}

// listed says whether a word is in a comma-separated list.
func listed(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

// kills returns the group's number of out-of-memory kills, or false if it is not known.
func (g cgroup) kills() (int, bool) {
	file := "memory.oom_control"
	if g.v2 {
		file = "memory.events"
	}
	return g.field(file, "oom_kill")
}

// refusals returns how often the group hit its limit: the only count that kernels before
// 4.13 have for version 1.
func (g cgroup) refusals() int {
	n, _ := g.number("memory.failcnt")
	return int(n)
}

// amounts are in bytes; negative: not known or not limited.
type amounts struct{ now, peak, limit int64 }

func (g cgroup) memory() amounts {
	now, peak, limit := "memory.current", "memory.peak", "memory.max"
	if !g.v2 {
		now, peak, limit = "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.limit_in_bytes"
	}
	read := func(file string) int64 {
		n, ok := g.number(file)
		if !ok || n > 1<<60 { // version 1 shows "no limit" as a huge number
			return -1
		}
		return n
	}
	return amounts{read(now), read(peak), read(limit)}
}

func (g cgroup) number(file string) (int64, bool) {
	if g.dir == "" {
		return 0, false
	}
	text, err := sysio.ReadFile(filepath.Join(g.dir, file))
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

func (g cgroup) field(file, name string) (int, bool) {
	if g.dir == "" {
		return 0, false
	}
	return fileField(filepath.Join(g.dir, file), name)
}

// fileField returns the number after the line's first word name in a file.
func fileField(file, name string) (int, bool) {
	contents, _ := sysio.ReadFile(file)
	text, ok := word(string(contents), name)
	n, err := strconv.Atoi(text)
	return n, ok && err == nil
}

// word returns the rest of the line that begins with the word name.
func word(text, name string) (string, bool) {
	for _, line := range strings.Split(text, "\n") {
		rest, ok := strings.CutPrefix(line, name)
		if ok && rest != "" && (rest[0] == ' ' || rest[0] == '\t') {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}

// An oomCount has the kernel's counters of out-of-memory kills at one time.
type oomCount struct {
	group   cgroup
	kills   int
	counted bool // kills is known
	refused int
	machine int // kills on the whole machine
}

func countOOM(group cgroup) oomCount {
	c := oomCount{group: group}
	c.kills, c.counted = group.kills()
	if !c.counted {
		c.refused = group.refusals()
		c.machine, _ = fileField("/proc/vmstat", "oom_kill")
	}
	return c
}

// since says whether a process of the group that got SIGKILL after the count before was
// killed for lack of memory, with the evidence. An empty text means no evidence.
func (c oomCount) since(before oomCount) string {
	switch {
	case c.counted && before.counted:
		if c.kills > before.kills {
			return "the kernel killed it for lack of memory: its cgroup's count of out-of-memory kills has grown"
		}
	case c.group.dir != "" && c.refused > before.refused:
		return "probably killed for lack of memory: its cgroup was at its limit"
	case c.group.dir == "" && c.machine > before.machine:
		return "probably killed for lack of memory: the machine's count of out-of-memory kills has grown"
	}
	return ""
}
