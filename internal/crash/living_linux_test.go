package crash

import (
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/crash/corefile"
)

// TestManyProcesses has an app that has started more processes than are recorded: the core of a
// further one's child is the app's, too.
func TestManyProcesses(t *testing.T) {
	t.Parallel()
	l := newLife(os.Getpid(), "app", "/", oomCount{})
	const never = 1 << 22 // the kernel's bound of pids
	for pid := never + 1; len(l.tree) < maxTree; pid++ {
		l.tree[pid] = true
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	l.update()
	if l.forget(); len(l.tree) >= maxTree || !l.tree[l.pid] {
		t.Errorf("%d processes, the app %v", len(l.tree), l.tree[l.pid])
	}
	l.update()
	if !l.owns(&corefile.Origin{PID: never, PPID: child.Process.Pid}, time.Now()) {
		t.Errorf("the core is not the app's; %d processes", len(l.tree))
	}
}

// TestCoresOfOtherContainers: a process of another container may have the number of one here.
func TestCoresOfOtherContainers(t *testing.T) {
	t.Parallel()
	app := exec.Command("sleep", "1000")
	if err := app.Start(); err != nil {
		t.Fatal(err)
	}
	defer app.Process.Kill()
	pid := app.Process.Pid
	l := newLife(pid, "app", "/", oomCount{})
	for l.memory.Random == 0 { // the kernel is still executing sleep
		time.Sleep(time.Millisecond)
		l.update()
	}
	began, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	own := &corefile.Origin{PID: pid, Memory: l.memory}
	again := &corefile.Origin{PID: pid, Memory: corefile.Memory{VDSO: 1, Random: 1}}
	expect := func(when string, c *corefile.Origin, written time.Time, want bool) {
		t.Helper()
		if got := l.owns(c, written); got != want {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	expect("the app lives", again, later, false)
	expect("a child of the app's lives", &corefile.Origin{PID: os.Getpid(), PPID: pid}, later, false)
	expect("its number is now another's", &corefile.Origin{PID: os.Getpid(), PPID: pid}, began, true)
	if err := app.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	l.update()
	expect("the app is a zombie and has perhaps executed itself again", again, later, true)
	expect("the app is a zombie", own, later, true)
	expect("there is a core with the app's memory", again, later, false)
	app.Wait()
	expect("the app is gone", own, later, true)
	l.noCore = true
	expect("the app left no core", own, later, false)
	expect("a child of an app that left no core", &corefile.Origin{PID: math.MaxInt32, PPID: pid}, later, true)
}
