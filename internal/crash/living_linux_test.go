package crash

import (
	"os"
	"os/exec"
	"testing"

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
	if !l.owns(&corefile.Origin{PID: never, PPID: child.Process.Pid}) {
		t.Errorf("the core is not the app's; %d processes", len(l.tree))
	}
}
