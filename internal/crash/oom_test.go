package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestFindCgroup(t *testing.T) {
	t.Parallel()
	const (
		v2Host      = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
		v2Container = "812 801 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
		v2NoNS      = "812 801 0:26 /docker/abc /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n"
		v1Host      = "33 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n34 25 0:29 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory\n"
		v1Container = "34 25 0:29 /docker/abc /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
	)
	for _, tt := range []struct {
		name, membership, mounts, missing string
		want                              cgroup
	}{
		{"version 2", "0::/system.slice/x.service\n", v2Host, "", cgroup{"/sys/fs/cgroup/system.slice/x.service", true}},
		{"its own namespace", "0::/\n", v2Container, "", cgroup{"/sys/fs/cgroup", true}},
		{"the host's namespace", "0::/docker/abc\n", v2NoNS, "", cgroup{"/sys/fs/cgroup", true}},
		{"below that", "0::/docker/abc/app\n", v2NoNS, "", cgroup{"/sys/fs/cgroup/app", true}},
		{"version 1", "4:memory:/user.slice\n1:name=systemd:/x\n", v1Host, "", cgroup{"/sys/fs/cgroup/memory/user.slice", false}},
		{"version 1 in a container", "4:cpu,memory:/docker/abc\n", v1Container, "", cgroup{"/sys/fs/cgroup/memory", false}},
		{"not shown", "4:memory:/elsewhere\n", v1Container, "/sys/fs/cgroup/memory/elsewhere", cgroup{"/sys/fs/cgroup/memory", false}},
		{"both", "4:memory:/m\n0::/u\n", v2Host + v1Host, "/sys/fs/cgroup/u", cgroup{"/sys/fs/cgroup/memory/m", false}},
		{"the root of version 2", "0::/\n", v2Host, "/sys/fs/cgroup", cgroup{}},
		{"nothing", "", "", "", cgroup{}},
		{"nonsense", "a:b\n::\n", "x y z\n - \n", "", cgroup{}},
	} {
		has := func(dir, _ string) bool {
			return dir != tt.missing && !(tt.name == "both" && dir == "/sys/fs/cgroup")
		}
		if got := findCgroup(tt.membership, tt.mounts, has); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestOOMSince(t *testing.T) {
	t.Parallel()
	group := cgroup{dir: "/g"}
	for _, tt := range []struct {
		name          string
		before, after oomCount
		says          bool
	}{
		{"nothing", oomCount{group: group, counted: true}, oomCount{group: group, counted: true}, false},
		{"counted", oomCount{group: group, counted: true, kills: 1}, oomCount{group: group, counted: true, kills: 2}, true},
		{"another group's", oomCount{group: group, counted: true, machine: 1}, oomCount{group: group, counted: true, machine: 2}, false},
		{"an old kernel", oomCount{group: group, refused: 1}, oomCount{group: group, refused: 5}, true},
		{"no group", oomCount{machine: 1}, oomCount{machine: 2}, true},
		{"no group and nothing", oomCount{machine: 2}, oomCount{machine: 2}, false},
	} {
		if got := tt.after.since(tt.before); (got != "") != tt.says {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

func TestCgroupFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"memory.events":         "low 0\nhigh 0\nmax 7\noom 2\noom_kill 3\noom_group_kill 9\n",
		"memory.current":        "1048576\n",
		"memory.max":            "max\n",
		"memory.oom_control":    "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n",
		"memory.usage_in_bytes": "5\n", "memory.max_usage_in_bytes": "6\n", "memory.limit_in_bytes": "9223372036854771712\n",
		"memory.failcnt": "8\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	v1, v2 := cgroup{dir, false}, cgroup{dir, true}
	if n, ok := v2.kills(); n != 3 || !ok {
		t.Errorf("version 2: %d, %v", n, ok)
	}
	if n, ok := v1.kills(); n != 4 || !ok {
		t.Errorf("version 1: %d, %v", n, ok)
	}
	if got, want := v2.memory(), (amounts{1 << 20, -1, -1}); got != want {
		t.Errorf("version 2: %v, want %v", got, want)
	}
	if got, want := v1.memory(), (amounts{5, 6, -1}); got != want || v1.refusals() != 8 {
		t.Errorf("version 1: %v, want %v", got, want)
	}
	var none cgroup
	if _, ok := none.kills(); ok || none.memory() != (amounts{-1, -1, -1}) {
		t.Error("the zero cgroup has counts")
	}
}

// TestOOMBeside has the kernel kill a process beside the app: a later kill of the app does
// not count as the kernel's.
func TestOOMBeside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	count := func(n int) {
		if err := os.WriteFile(filepath.Join(dir, "memory.events"), fmt.Appendf(nil, "oom 0\noom_kill %d\n", n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	count(0)
	l := newLife(os.Getpid(), "", "/", oomCount{})
	l.update()
	l.group = cgroup{dir: dir, v2: true}
	l.latest = countOOM(l.group)
	l.before = l.latest
	count(1)
	if countOOM(l.group).since(l.before) == "" {
		t.Error("a kill of just now is not counted for this app")
	}
	l.update()
	if countOOM(l.group).since(l.before) == "" {
		t.Error("a kill that was seen once is not counted for this app")
	}
	l.update()
	if why := countOOM(l.group).since(l.before); why != "" {
		t.Errorf("a kill of long ago: %s", why)
	}
}
