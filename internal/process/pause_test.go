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

// pausing starts as many paused apps as the first argument says, continues each and prints
// how it ended. $TEST_HOW names something to do instead of continuing.
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
			StopSignal: syscall.SIGTERM, StopTimeout: 2 * time.Minute, Paused: true,
		}
		if os.Getenv("TEST_HOW") == "release" {
			cmd.Release = func(send func()) { released.Store(true); send() }
		}
		p, err := s.Start(cmd)
		if err != nil {
			fmt.Println(err)
			continue
		}
		for until := time.Now().Add(2 * time.Minute); p.State() != 'T' && time.Now().Before(until); {
			time.Sleep(time.Millisecond) // SIGSTOP takes effect soon
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

// TestPaused checks that paused apps do not run until they are continued.
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

// TestHeadless checks the state of an app that goes on after its first thread has ended.
func TestHeadless(t *testing.T) {
	t.Parallel()
	out, err := command(t, []string{"TEST_ROLE=headless"}).Output()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func headless() int {
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	p, err := s.Start(Command{
		Path: "/usr/bin/env", Args: []string{"python3", "-c", `
import ctypes, threading, time
threading.Thread(target=lambda: time.sleep(1000)).start()
ctypes.CDLL(None).pthread_exit(None)`},
		Env: os.Environ(), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StopSignal: syscall.SIGTERM, StopTimeout: 2 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	eventually := func(what string, is func() bool) {
		for until := time.Now().Add(2 * time.Minute); !is(); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				fmt.Printf("not %s: %c\n", what, p.State())
				return
			}
		}
	}
	eventually("headless", func() bool {
		stat, err := readStat(p.PID())
		return err == nil && stat.state == 'Z'
	})
	eventually("sleeping", func() bool { return p.State() == 'S' })
	if p.Dead() {
		fmt.Println("dead")
	}
	p.Forward(syscall.SIGSTOP)
	eventually("stopped", func() bool { return p.State() == 'T' })
	p.Stop()
	<-p.Gone()
	if !p.Dead() {
		fmt.Println("not dead")
	}
	return 0
}

// TestAmbient checks that a capability survives the change of user.
func TestAmbient(t *testing.T) {
	if os.Geteuid() != 0 || !Capable(unix.CAP_SYS_PTRACE) {
		t.Skip("only root with the capability can pass it on")
	}
	t.Parallel()
	out, err := command(t, []string{"TEST_ROLE=ambient"}).Output()
	if want := "CapEff:\t0000000000080000\nCapEff:\t0000000000000000\n"; err != nil || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

// ambient prints the capabilities of a process with Ambient, and of one without.
func ambient() int {
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	for _, capabilities := range [][]uintptr{{unix.CAP_SYS_PTRACE}, nil} {
		p, err := s.Start(Command{
			Path: "/bin/grep", Args: []string{"CapEff", "/proc/self/status"}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Dir: "/",
			User: &User{Name: "nobody", UID: 65534, GID: 65534, Groups: []uint32{65534}}, Ambient: capabilities,
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		<-p.Gone()
	}
	return 0
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
