package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beside starts an app with an orphaned child, and a tool beside it. It prints the tool's
// output and which children of the two are left. Then it starts and kills a hanging tool with
// children in sessions of their own.
func beside() int {
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	var old syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_CORE, &old)
	syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: 0, Max: old.Max})
	run := func(cmd Command, script string) (*Process, *bufio.Reader) {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		cmd.Path, cmd.Args = "/bin/sh", []string{"-c", script}
		cmd.Env = os.Environ()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, w, os.Stderr
		cmd.StopSignal, cmd.StopTimeout = syscall.SIGKILL, time.Second
		p, err := s.Start(cmd)
		if err != nil {
			panic(err)
		}
		w.Close()
		return p, bufio.NewReader(r)
	}
	line := func(r *bufio.Reader) string {
		text, _ := r.ReadString('\n')
		return strings.TrimSpace(text)
	}
	pid := func(r *bufio.Reader) (pid int) {
		fmt.Sscan(line(r), &pid)
		return pid
	}
	app, said := run(Command{Core: true}, `ulimit -Sc; (sleep 1000 >/dev/null & echo $!); exec sleep 1000`)
	fmt.Println("limit", line(said))
	orphan := pid(said)
	tool, said := run(Command{Tool: true, Confined: true}, `grep NoNewPrivs /proc/self/status; ulimit -Sc; sleep 1000 >/dev/null & echo $!`)
	fmt.Println(line(said), "limit", line(said))
	child := pid(said)
	<-tool.Gone()
	fmt.Println("child", syscall.Kill(child, 0) == nil)
	hung, said := run(Command{Tool: true}, `setsid sh -c 'echo $$; setsid sleep 1000 >/dev/null & echo $!; wait' & wait`)
	escaped := []int{pid(said), pid(said)}
	hung.Kill()
	<-hung.Gone()
	left := slices.DeleteFunc(escaped, func(pid int) bool { return syscall.Kill(pid, 0) != nil })
	fmt.Println("hung", hung.Status(), len(left))
	fmt.Println("orphan", syscall.Kill(orphan, 0) == nil, app.Has(orphan))
	app.Stop()
	<-app.Gone()
	fmt.Println("orphan", syscall.Kill(orphan, 0) == nil)
	return 0
}

// TestTool checks that a tool leaves the app's tree alone and no process behind, and that only
// the app gets a raised core limit.
func TestTool(t *testing.T) {
	t.Parallel()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil || limit.Max == 0 {
		t.Skipf("the hard limit for cores is %d (%v)", limit.Max, err)
	}
	cmd := exec.Command(self(t))
	cmd.Env = append(os.Environ(), "TEST_ROLE=beside")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := "limit unlimited\nNoNewPrivs:\t1 limit 0\nchild false\nhung killed by SIGKILL 0\norphan true true\norphan false\n"
	if limit.Max != ^uint64(0) {
		want = strings.Replace(want, "unlimited", fmt.Sprint(limit.Max/512), 1)
	}
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
}
