package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pausing starts apps paused, as many as the first argument says, lets each go
// and prints how it ended. $TEST_HOW is what is done instead.
func pausing(args []string) int {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return 1
	}
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	for i := range n {
		mark := fmt.Sprintf("%s/%d", args[1], i)
		var released atomic.Bool
		cmd := Command{
			Path: "/bin/sh", Args: []string{"-c", "touch " + mark + "; exit " + strconv.Itoa(i%256)}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			StopSignal: syscall.SIGTERM, StopTimeout: 20 * time.Second, Paused: true,
		}
		if os.Getenv("TEST_HOW") == "release" {
			cmd.Release = func(send func()) { released.Store(true); send() }
		}
		p, err := s.Start(cmd)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for until := time.Now().Add(10 * time.Second); p.State() != 'T' && time.Now().Before(until); {
			time.Sleep(time.Millisecond) // it is about to be
		}
		if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID())); err != nil || !strings.Contains(string(status), "\nTracerPid:\t0\n") {
			fmt.Println("traced", err)
		}
		time.Sleep(time.Millisecond)
		if _, err := os.Stat(mark); err == nil || p.State() != 'T' || p.Dead() {
			fmt.Printf("not paused: %c\n", p.State())
		}
		want, runs := i%256, false
		switch os.Getenv("TEST_HOW") {
		case "stop", "release":
			p.Stop()
			want = 128 + 15
		case "kill":
			syscall.Kill(p.PID(), syscall.SIGKILL)
			want = 128 + 9
		default:
			p.Forward(syscall.SIGCONT)
			runs = true
		}
		<-p.Gone()
		_, err = os.Stat(mark)
		if p.Status().ExitCode() != want || (err == nil) != runs || !p.Dead() || p.State() != 0 || released.Load() != (cmd.Release != nil) {
			fmt.Println(i, p.Status(), err, released.Load())
		}
	}
	return 0
}

// TestPaused wants paused apps not to run, and to run when they are let go.
func TestPaused(t *testing.T) {
	t.Parallel()
	for how, n := range map[string]string{"": "256", "stop": "50", "kill": "50", "release": "20"} {
		t.Run("how="+how, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, []string{"TEST_ROLE=pausing", "TEST_HOW=" + how}, n, t.TempDir())
			out, err := cmd.Output()
			if err != nil || len(out) > 0 {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// beside starts a helper that leaves a process behind, beside an app that does
// so too, and prints what is left when the helper has ended, and the app.
func beside() int {
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 1
	}
	start := func(helper bool, script string, user *User, ambient ...uintptr) *Process {
		p, err := s.Start(Command{
			Path: "/bin/sh", Args: []string{"-c", script}, Stdin: null, Stdout: os.Stdout, Stderr: os.Stderr,
			StopSignal: syscall.SIGTERM, StopTimeout: 10 * time.Second, Beside: helper, User: user, Ambient: ambient,
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return p
	}
	app := start(false, "(exec >/dev/null 2>&1; exec setsid sleep 1000) & exec sleep 500", nil)
	sleeps := func() int {
		table, err := readProcs()
		if err != nil {
			return -1
		}
		n := 0
		for _, pid := range table.below(os.Getpid(), func(int) bool { return false }) {
			if text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); string(text) == "sleep\x001000\x00" {
				n++
			}
		}
		return n
	}
	wait := func(n int) {
		for until := time.Now().Add(10 * time.Second); sleeps() != n && time.Now().Before(until); {
			time.Sleep(time.Millisecond)
		}
	}
	wait(1)
	helper := start(true, "(exec >/dev/null 2>&1; exec setsid sleep 1000) & exit 4", nil)
	<-helper.Gone()
	wait(2)
	fmt.Println("helper:", helper.Status(), "left:", sleeps())
	app.Stop()
	<-app.Gone()
	fmt.Println("app gone, left:", sleeps())
	if os.Geteuid() == 0 {
		nobody := &User{Name: "nobody", UID: 65534, GID: 65534, Groups: []uint32{65534}}
		<-start(true, "grep CapEff /proc/self/status", nobody, unix.CAP_SYS_PTRACE).Gone()
		<-start(true, "grep CapEff /proc/self/status", nobody).Gone()
	}
	return 0
}

// TestBeside wants a helper's end not to end anything of the app.
func TestBeside(t *testing.T) {
	t.Parallel()
	out, err := command(t, []string{"TEST_ROLE=beside"}).Output()
	want := "helper: exit status 4 left: 2\napp gone, left: 0\n"
	if os.Geteuid() == 0 {
		want += "CapEff:\t0000000000080000\nCapEff:\t0000000000000000\n"
	}
	if err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

func TestCapable(t *testing.T) {
	t.Parallel()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "\nCapPrm:\t")
	permitted, err := strconv.ParseUint(strings.Fields(after)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for c := range unix.CAP_LAST_CAP + 1 {
		if got, want := Capable(c), permitted&(1<<c) != 0; got != want {
			t.Errorf("capability %d: %v, want %v", c, got, want)
		}
	}
}
