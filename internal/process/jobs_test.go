package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A tty is the user's side of a pseudo-terminal.
type tty struct {
	t      *testing.T
	master *os.File
	out    *bufio.Reader
	seen   strings.Builder
}

// onTerminal starts cmd as the leader of a session on a terminal of its own.
func onTerminal(t *testing.T, cmd *exec.Cmd) *tty {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x := &tty{t: t, master: master, out: bufio.NewReader(master)}
	// Missing output fails the test: the terminal hangs up, and reading it ends.
	timer := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		master.Close() // hangs up
		cmd.Process.Kill()
		cmd.Wait()
	})
	return x
}

// until reads what the terminal shows, up to and including the first want.
func (x *tty) until(want string) {
	x.t.Helper()
	var text strings.Builder
	for !strings.HasSuffix(text.String(), want) {
		b, err := x.out.ReadByte()
		if err != nil {
			x.t.Fatalf("no %q: %v in %q", want, err, x.seen.String())
		}
		text.WriteByte(b)
		x.seen.WriteByte(b)
	}
}

// foreground returns the process group that has the terminal.
func (x *tty) foreground() int {
	x.t.Helper()
	group, err := unix.IoctlGetInt(int(x.master.Fd()), unix.TIOCGPGRP)
	if err != nil {
		x.t.Fatal(err)
	}
	return group
}

func (x *tty) typed(text string) { io.WriteString(x.master, text) }

// interactive starts bash with job control on a terminal without echo.
func interactive(t *testing.T, env ...string) *tty {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("bash", "--norc", "--noprofile", "--noediting", "-i")
	cmd.Env = append(append(os.Environ(), "PS1=", "WRAP="+self(t), "HISTFILE="), env...)
	x := onTerminal(t, cmd)
	x.typed("stty -echo; echo be''gin\n")
	x.until("begin")
	return x
}

// wrapped returns a command line that makes the wrapper run a script.
func wrapped(script string) string { return `TEST_ROLE=wrap "$WRAP" sh -c '` + script + `'` }

// stopped waits until a process is, or is not, stopped.
func stopped(t *testing.T, pid int, want bool) {
	t.Helper()
	redistest.Eventually(t, fmt.Sprintf("process %d is stopped: %v", pid, want), func() bool {
		stat, err := readStat(pid)
		if err != nil {
			t.Fatal(err)
		}
		return (stat.state == 'T') == want
	})
}

// TestSuspend types Ctrl-Z: the shell comes back, `fg` gives the app the terminal, `bg`
// does not.
func TestSuspend(t *testing.T) {
	t.Parallel()
	x := interactive(t)
	x.typed(wrapped(`echo started; while read x; do echo "got $x"; done; exit 7`) + "\n")
	x.until("started")
	for range 3 {
		x.typed("\x1a")
		x.until("Stopped")
		x.typed("echo she''ll\n")
		x.until("shell")
		x.typed("fg\n")
		x.typed("line\n")
		x.until("got line")
	}
	x.typed("\x1a")
	x.until("Stopped")
	x.typed("bg\n")
	// The app reads from the terminal that it does not have, and so stops.
	x.typed("until jobs | grep -q Stopped; do sleep 0.01; done; echo wai''ts; fg\n")
	x.until("waits")
	x.typed("again\n")
	x.until("got again")
	x.typed("\x04")
	x.typed("echo status $?\n")
	x.until("status 7")
}

// TestBackground starts the wrapper with &. The app reads before `fg`, so that the shell has
// seen it stop, or only afterwards.
func TestBackground(t *testing.T) {
	t.Parallel()
	t.Run("reads before fg", func(t *testing.T) {
		t.Parallel()
		x := interactive(t)
		x.typed(wrapped(`read x; echo "got $x"; exit 3`) + " &\n")
		x.typed("until jobs | grep -q Stopped; do sleep 0.01; done; echo she''ll\n")
		x.until("shell")
		x.typed("fg\nline\n")
		x.until("got line")
		x.typed("echo status $?\n")
		x.until("status 3")
	})
	t.Run("reads after fg", func(t *testing.T) {
		t.Parallel()
		front := filepath.Join(t.TempDir(), "front")
		x := interactive(t)
		shell := x.foreground()
		x.typed(wrapped(`echo started; until [ -e `+front+` ]; do sleep 0.01; done; read x; echo "got $x"; exit 3`) + " &\n")
		x.until("started")
		x.typed("fg\n")
		redistest.Eventually(t, "the shell gives the terminal away", func() bool { return x.foreground() != shell })
		if err := os.WriteFile(front, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		x.typed("line\n")
		x.until("got line")
		x.typed("echo status $?\n")
		x.until("status 3")
	})
}

// TestTyped types Ctrl-C while the wrapper has the terminal: the app's children get it, too, as
// a shell that waits for one goes on where it did not.
func TestTyped(t *testing.T) {
	t.Parallel()
	x := interactive(t)
	x.typed(`TEST_ROLE=wrap "$WRAP" bash -c 'sh -c "echo started; exec sleep 1000"; echo survived' </dev/null` + "\n")
	x.until("started")
	x.typed("\x03")
	x.typed("echo status $?\n")
	x.until("status 130")
}

// TestScript suspends a script that runs the wrapper: a job is all of its processes.
func TestScript(t *testing.T) {
	t.Parallel()
	x := interactive(t)
	x.typed(`sh -c "` + strings.ReplaceAll(wrapped(`echo started; read x; echo got it`), `"$WRAP"`, `'$WRAP'`) + `; echo script; true" | cat` + "\n")
	x.until("started")
	x.typed("\x1a")
	x.until("Stopped")
	x.typed("fg\nline\n")
	x.until("got it")
	x.until("script")
}

// TestInnerShell runs a shell with job control as the app.
func TestInnerShell(t *testing.T) {
	t.Parallel()
	x := interactive(t)
	x.typed(`TEST_ROLE=wrap "$WRAP" bash --norc --noprofile --noediting -i` + "\n")
	x.typed("echo inn''er\n")
	x.until("inner")
	x.typed("sh -c 'echo run''ning; exec sleep 1000'\n")
	x.until("running") // Ctrl-Z discards typed text that is not read yet
	x.typed("\x1a")
	x.until("Stopped")
	x.typed("kill %1; fg; echo bac''k\n")
	x.until("back")
	x.typed("suspend\n")
	x.until("Stopped")
	x.typed("echo out''er; fg\n")
	x.until("outer")
	x.typed("echo inn''er again; exit 5\n")
	x.until("inner again")
	x.typed("echo status $?; stty -a >/dev/null && echo own''ed\n")
	x.until("status 5")
	x.until("owned")
}

// TestNobodyContinues types Ctrl-Z with no shell above the wrapper: the app continues at once.
func TestNobodyContinues(t *testing.T) {
	t.Parallel()
	for name, attr := range map[string]*syscall.SysProcAttr{
		"session leader": {},
		"PID 1":          {Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if attr.Cloneflags != 0 && os.Geteuid() != 0 {
				t.Skip("only root makes PID namespaces")
			}
			cmd := exec.Command(self(t), "sh", "-c", `echo started; while read x; do echo "got $x"; done; exit 7`)
			cmd.Env = append(os.Environ(), "TEST_ROLE=wrap")
			cmd.SysProcAttr = attr
			if attr.Cloneflags != 0 {
				cmd.Env = append(cmd.Env, "TEST_PROC=proc")
			}
			x := onTerminal(t, cmd)
			x.until("started")
			x.typed("\x1a")
			x.typed("line\n")
			x.until("got line")
			x.typed("\x1a")
			x.typed("again\n")
			x.until("got again")
			x.typed("\x04")
			if code := exitCode(t, cmd.Wait()); code != 7 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestSignalledStop sends the stop signals that shells send: an app that does not catch them
// is stopped, and the wrapper with it, until SIGCONT.
func TestSignalledStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		t.Run(SignalName(sig), func(t *testing.T) {
			t.Parallel()
			// The group must not be orphaned: its leader is a child of a process in the
			// same session, as with a shell.
			cmd := command(t, nil, "sh", "-c", "echo $$; exec sleep 1000")
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out := started(t, cmd)
			app, err := strconv.Atoi(line(t, out))
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				cmd.Process.Signal(sig)
				stopped(t, cmd.Process.Pid, true)
				stopped(t, app, true)
				cmd.Process.Signal(syscall.SIGCONT)
				stopped(t, cmd.Process.Pid, false)
				stopped(t, app, false)
			}
			cmd.Process.Signal(syscall.SIGTERM)
			if code := exitCode(t, cmd.Wait()); code != 128+15 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestSIGSTOP stops the app from outside: the wrapper leaves it stopped until SIGCONT.
func TestSIGSTOP(t *testing.T) {
	t.Parallel()
	cmd := command(t, nil, "sh", "-c", "echo $$; exec sleep 1000")
	out := started(t, cmd)
	app, err := strconv.Atoi(line(t, out))
	if err != nil {
		t.Fatal(err)
	}
	syscall.Kill(app, syscall.SIGSTOP)
	stopped(t, app, true)
	cmd.Process.Signal(syscall.SIGUSR1) // waits until the app is continued
	cmd.Process.Signal(syscall.SIGCONT)
	if code := exitCode(t, cmd.Wait()); code != 128+10 {
		t.Errorf("exit status %d", code)
	}
}

// TestIgnored starts the wrapper like nohup and like a shell's &: ignored signals stay
// ignored, for the app too.
func TestIgnored(t *testing.T) {
	t.Parallel()
	for trap, sigs := range map[string][]syscall.Signal{
		"HUP":      {syscall.SIGHUP},
		"INT QUIT": {syscall.SIGINT, syscall.SIGQUIT},
		"TSTP":     {syscall.SIGTSTP},
	} {
		t.Run(trap, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, []string{"WRAP=" + self(t)}, "sh", "-c", `while read key value; do case $key in SigIgn:) echo $value;; esac; done < /proc/self/status; echo $$; read x; exit 4`)
			cmd.Args = append([]string{"sh", "-c", `trap "" ` + trap + `; exec "$0" "$@"`}, cmd.Args...)
			sh, err := exec.LookPath("sh")
			if err != nil {
				t.Fatal(err)
			}
			cmd.Path = sh
			stdin, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out := started(t, cmd)
			mask, err := strconv.ParseUint(line(t, out), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			app := line(t, out)
			for _, sig := range sigs {
				if mask&(1<<(sig-1)) == 0 {
					t.Errorf("the app (%s) does not ignore %s: %x", app, SignalName(sig), mask)
				}
				cmd.Process.Signal(sig)
			}
			io.WriteString(stdin, "go on\n")
			if code := exitCode(t, cmd.Wait()); code != 4 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

// TestCaused raises SIGXFSZ and SIGPIPE by writes of the wrapper: the app does not get them.
// TestForward shows that it gets them from another process.
func TestCaused(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"TEST_APP=listen", "TEST_STOP=12", "TEST_CAUSE=" + filepath.Join(t.TempDir(), "file")}, self(t))
	out := started(t, cmd)
	if got := line(t, out); got != "ready" {
		t.Fatal(got)
	}
	cmd.Process.Signal(syscall.SIGUSR1) // the wrapper then calls cause
	if got := line(t, out); got != "EFBIG EPIPE" {
		t.Errorf("got %q", got)
	}
	if got := line(t, out); got != "10" {
		t.Errorf("the app got signal %s, want 10", got)
	}
	cmd.Process.Signal(syscall.SIGUSR2)
	if got := line(t, out); got != "12" {
		t.Errorf("the app got signal %s, want 12", got)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
}

// cause writes beyond the limit for files, and to a pipe without a reader.
func cause(file string) {
	f, err := os.Create(file)
	if err != nil {
		panic(err)
	}
	var limit syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
	syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: limit.Max})
	_, large := f.Write([]byte("x"))
	syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	r.Close()
	_, broken := w.Write([]byte("x"))
	fmt.Println(unix.ErrnoName(errno(large)), unix.ErrnoName(errno(broken)))
}

func errno(err error) (n syscall.Errno) {
	errors.As(err, &n)
	return n
}

// TestTostop copies to a terminal that stops processes that write from its background.
func TestTostop(t *testing.T) {
	t.Parallel()
	x := interactive(t)
	x.typed("stty tostop\n")
	x.typed(`TEST_COPY=1 ` + wrapped(`echo started; read x`) + "\n")
	x.until("copied while the app has the terminal")
	x.typed("\n")
	x.typed("echo status $?\n")
	x.until("status 0")
	if strings.Contains(x.seen.String(), "Stopped") {
		t.Errorf("stopped: %q", x.seen.String())
	}
}

// TestNonBlockingTerminal writes more than a terminal holds after another program has made it
// non-blocking.
func TestNonBlockingTerminal(t *testing.T) {
	t.Parallel()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here:", err)
	}
	master := os.NewFile(uintptr(fd), "master")
	defer master.Close()
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		fd, err = unix.Open("/dev/pts/"+strconv.Itoa(number), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave := os.NewFile(uintptr(fd), "slave")
	defer slave.Close()
	to := Terminal(slave)
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 256<<10)
	go func() {
		if n, err := io.WriteString(to, text); n != len(text) || err != nil {
			t.Errorf("%d bytes: %v", n, err)
			master.Close() // or the reader would wait for more
		}
	}()
	if n, err := io.ReadFull(master, make([]byte, len(text))); err != nil {
		t.Errorf("%d bytes came: %v", n, err)
	}
}

// TestNonBlockingPipe writes more than a pipe holds after another program has made it non-blocking.
func TestNonBlockingPipe(t *testing.T) {
	t.Parallel()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
	defer r.Close()
	to := Terminal(w)
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 256<<10)
	go func() {
		defer w.Close()
		if n, err := io.WriteString(to, text); n != len(text) || err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}()
	if n, err := io.ReadFull(r, make([]byte, len(text))); err != nil {
		t.Errorf("%d bytes came: %v", n, err)
	}
}
