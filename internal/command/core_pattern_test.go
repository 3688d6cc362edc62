package command

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// testPatterns crashes a program with the core pattern in various forms.
func testPatterns(t *testing.T, s *redistest.Server, debug string) {
	dir := t.TempDir()
	os.Chmod(dir, 0o777)
	for i, tt := range []struct {
		pattern, usesPID string
		says             string
	}{
		{"core", "1", "innermost ("},
		{"core.%p", "0", "innermost ("},
		{dir + "/core", "0", "innermost ("},
		{dir + "/%e.%E.%p.%P.%t.%s.%u.%g.%d.%h.%i.%I.%c.%f", "0", "innermost ("},
		{dir + "/core.%q.100%%.%Z%p", "1", "innermost ("},
		{"./%e-core", "0", "innermost ("},
		{"/does/not/exist/core.%p", "0", `no core was found in /does/not/exist (kernel.core_pattern is "/does/not/exist/core.%p")`},
		{"|/bin/false %p", "0", "the kernel gives cores to /bin/false (kernel.core_pattern); to have a backtrace here set, on the host, as root: sysctl -w kernel.core_pattern="},
		{"", "0", "kernel.core_pattern is empty"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Cleanup(coretest.Set(t, tt.pattern, tt.usesPID))
			c := crash(t, s, fmt.Sprintf("pattern-%d", i), "", nil, debug, "segv")
			contains(t, c.one(t), "SIGSEGV", tt.says)
			// Apps of other tests may leave cores there, too, with names of their own.
			files, _ := filepath.Glob(fmt.Sprintf("%s/core-pattern-%d-*", dir, i))
			if left := c.left(t); len(left)+len(files) > 0 {
				t.Errorf("left behind: %q, %v", left, files)
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		t.Cleanup(coretest.Set(t, "core.%p", "0"))
		c := crash(t, s, "many", "", nil, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13; do "+debug+" segv; done; exit 0")
		if n := len(c.reports); n != 11 {
			t.Fatalf("%d reports, want 10 and one that tells of the others", n)
		}
		contains(t, c.reports[10], "3 more processes that many had started left cores")
		if left := c.left(t); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
	t.Run("not ours", func(t *testing.T) {
		// wrapp leaves other programs' files in the directory of cores alone.
		t.Cleanup(coretest.Set(t, dir+"/core.%p", "0"))
		if err := exec.Command(debug, "segv").Run(); err == nil {
			t.Fatal("it did not crash")
		}
		if err := os.WriteFile(filepath.Join(dir, "core.txt"), []byte("notes"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/etc/passwd", filepath.Join(dir, "core.link")); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadDir(dir)
		contains(t, crash(t, s, "ours", "", nil, debug, "segv").one(t), "innermost (")
		for _, f := range before {
			if _, err := os.Lstat(filepath.Join(dir, f.Name())); err != nil {
				t.Errorf("it is not there any more: %v", err)
			}
		}
		// Apps of other tests may leave cores there, too.
		if files, _ := filepath.Glob(dir + "/core-ours-*"); len(files) > 0 {
			t.Errorf("left behind: %q", files)
		}
	})
}

// testHandler has a slow handler store cores where systemd-coredump does.
func testHandler(t *testing.T, s *redistest.Server, debug string) {
	const store = "/var/lib/systemd/coredump"
	if files, _ := os.ReadDir(store); len(files) > 0 {
		t.Skip("there are cores in the store already")
	}
	handler := filepath.Join(t.TempDir(), "handler")
	// The handler may run for other programs at the same time; their cores have other names.
	handles := func(script string) {
		t.Helper()
		if err := os.WriteFile(handler+".new", []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(handler+".new", handler); err != nil {
			t.Fatal(err)
		}
	}
	handles("sleep 0.3; cat >" + store + "/core.$1.0.wrapp-test.$2.123")
	_, err := os.Stat(store)
	made := err != nil
	if err := os.MkdirAll(store, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 100 { // the handler may still store cores of other programs
			files, _ := filepath.Glob(store + "/*core.*.0.wrapp-test.*")
			for _, f := range files {
				os.Remove(f)
			}
			if !made || os.Remove(store) == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	})

	t.Cleanup(coretest.Set(t, "|/bin/sh "+handler+" %e %P", "0"))
	c := crash(t, s, "stored", "", nil, debug, "segv")
	r := c.one(t)
	files, _ := os.ReadDir(store)
	if len(files) == 0 {
		t.Skip("the kernel runs handlers elsewhere") // in the first mount namespace
	}
	contains(t, r, "innermost (how=", "to open it: gdb "+debug+" "+store)
	if _, err := os.Stat(r.Fields["core"]); err != nil || filepath.Dir(r.Fields["core"]) != store {
		t.Errorf("%v, and the field says %q", files, r.Fields["core"])
	}
	stores := func(end, pack string) {
		t.Helper()
		core := "core.$1.0.wrapp-test.$2.123" + end
		handles("cd " + store + " && " + pack + " >." + core + " && mv ." + core + " " + core)
	}
	tools := map[string]string{}
	for _, name := range []string{"zstd", "lz4", "xz"} {
		if tools[name], err = exec.LookPath(name); err != nil {
			t.Fatalf("%v; `make tools` installs it", err)
		}
	}
	tmp := t.TempDir()
	os.Chmod(tmp, 0o777)
	os.Chmod(filepath.Dir(tmp), 0o755)
	env := []string{"TMPDIR=" + tmp}
	for _, tt := range []struct{ name, end, pack, settings string }{
		{"zst", ".zst", tools["zstd"] + " -q", ""},
		{"zst-builtin", ".zst", tools["zstd"] + " -q", "[crash]\nbacktrace = 'builtin'"},
		{"zst-user", ".zst", tools["zstd"] + " -q", "user = 'nobody'"},
		{"lz4", ".lz4", tools["lz4"] + " -q", ""},
		{"xz", ".xz", tools["xz"] + " -q", ""},
	} {
		stores(tt.end, tt.pack)
		r := crash(t, s, tt.name, tt.settings, env, debug, "segv").one(t)
		contains(t, r, "SEGV_MAPERR", "innermost", "dying.c:", " when unpacked\nto open it: coredumpctl debug "+r.Fields["pid"])
		if _, err := os.Stat(r.Fields["core"]); err != nil || !strings.HasSuffix(r.Fields["core"], tt.end) {
			t.Errorf("the field says %q: %v", r.Fields["core"], err)
		}
	}
	packed := "none: the core is in systemd-coredump's store, compressed"
	stores(".zst", tools["zstd"]+" -q")
	contains(t, crash(t, s, "zst-off", "[crash]\nbacktrace = 'off'", env, debug, "segv").one(t), "none: crash.backtrace is off")
	contains(t, crash(t, s, "no-zstd", "", []string{"PATH=" + t.TempDir()}, debug, "segv").one(t), "SIGSEGV", packed, "zstd is not on PATH; to open it: coredumpctl debug")
	stores(".zst", tools["zstd"]+" -q | head -c 9999")
	contains(t, crash(t, s, "cut", "", env, debug, "segv").one(t), "SIGSEGV", packed, "zstd: exit status 1")
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDump has a pool dump the app, which goes on or is stopped. The pool gets one heartbeat,
// once all threads run.
func TestDump(t *testing.T) {
	t.Parallel()
	coretest.CanTrace(t)
	s := redistest.Start(t)
	debug := program(t, "-g")
	for name, settings := range map[string]string{"dump": "dump", "dump-stop": "dump,stop"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := fmt.Sprintf("[health]\ninterval = '100ms'\n[health.pools.main]\ninit = 0\ncap = 10\ndepletion_rate = 100\nreplenish_rate = 1\non_depleted = %q", settings)
			path, proceed := fifo(t)
			var reported sync.WaitGroup
			if name == "dump" { // the other one is stopped
				reported.Go(func() {
					defer proceed()
					s.Wait("the report", func() bool { return len(s.Stream("logs:app:"+name+":crash")) > 0 })
				})
			}
			c := crash(t, s, name, settings, nil, debug, "threads:3", "say:{{__healthpool__main_beats}}", "await:"+path, "exit:7")
			reported.Wait()
			r := c.one(t)
			if r.Fields["kind"] != "hang" || c.exit != map[string]int{"dump": 7, "dump-stop": 143}[name] {
				t.Errorf("exit status %d, %v", c.exit, r.Fields)
			}
			contains(t, r, name+" hangs: health pool main is depleted", "idle (", "main (", "4 threads")
		})
	}
}

// limitedGroup makes a cgroup limited to 200 MB, without swap, and removes it when the test has
// ended.
func limitedGroup(t *testing.T, name string) (group string) {
	t.Helper()
	const most = "200000000"
	group, limit, swap, mostSwap := "/sys/fs/cgroup/"+name, "memory.max", "memory.swap.max", "0"
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		group, limit, swap, mostSwap = "/sys/fs/cgroup/memory/"+name, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", most // memory and swap together
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("make a cgroup: %v", err)
	}
	t.Cleanup(func() { eventually(t, "the cgroup is empty", func() bool { return os.Remove(group) == nil }) })
	if err := os.WriteFile(filepath.Join(group, limit), []byte(most), 0); err != nil {
		t.Skipf("limit the memory: %v", err)
	}
	os.WriteFile(filepath.Join(group, swap), []byte(mostSwap), 0) // a kernel without swap has no such file
	return group
}

// TestOutOfMemory has the kernel kill an app for lack of memory.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	debug := program(t, "-g")
	group := limitedGroup(t, "wrapp-test-oom")
	s := redistest.Start(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := wrapp(t)
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group, self, "--redis", s.URL(), "--name", "oom", "--", debug, "fill:1000", "exit:0"}
	out, err := cmd.CombinedOutput()
	if got := code(t, err); got != 137 {
		t.Fatalf("exit status %d: %s", got, out)
	}
	r := crashed{reports: s.Stream("logs:app:oom:crash")}.one(t)
	contains(t, r, "oom was killed: SIGKILL; the kernel killed it for lack of memory", "limit 190.7 MiB")
	if r.Fields["kind"] != "signal" || r.Fields["signal"] != "SIGKILL" {
		t.Errorf("%v", r.Fields)
	}
}
