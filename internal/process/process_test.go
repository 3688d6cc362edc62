package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A Supervisor reaps all children of its process, so each test runs one in a process of its
// own: this test binary, in the role of $TEST_ROLE.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	switch os.Getenv("TEST_ROLE") {
	case "":
		redistest.ForOtherUsers()
		// Signals that are ignored at the tests' start, as by nohup, would stay ignored in every
		// app.
		for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
			if signal.Ignored(sig) {
				signal.Notify(make(chan os.Signal, 1), sig)
			}
		}
		os.Exit(m.Run())
	case "wrap":
		os.Exit(wrap(os.Args[1:]))
	case "many":
		os.Exit(many())
	case "ambient":
		os.Exit(ambient())
	case "pausing":
		os.Exit(pausing(os.Args[1:]))
	case "headless":
		os.Exit(headless())
	case "beside":
		os.Exit(beside())
	case "listen":
		listen()
	case "arguments":
		fmt.Printf("%q\n", os.Args)
	}
}

// wrap runs a command as wrapp does. $TEST_STOP is the stop signal, $TEST_TIMEOUT the stop
// timeout, $TEST_USER the app's user, $TEST_DIR its directory. With $TEST_THREADS it starts
// threads, and prints a line when they have ended. With $TEST_RELEASE it stops the app only when
// killTimeout has passed since the deadline.
func wrap(args []string) int {
	os.Unsetenv("TEST_ROLE")
	if kind := os.Getenv("TEST_PROC"); kind != "" { // mount that over /proc: "proc" is the one of our PID namespace
		err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		if err = errors.Join(err, unix.Mount(kind, "/proc", kind, 0, "")); err != nil {
			panic(err)
		}
	}
	signals, stop, err := Signals()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	if os.Getenv("TEST_LATE") != "" {
		fmt.Println("late")
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
	s, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer s.Close()
	cmd := Command{
		Args: args[1:], Env: append(os.Environ(), "TEST_ROLE="+os.Getenv("TEST_APP")), Dir: os.Getenv("TEST_DIR"),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StopSignal: syscall.SIGTERM, StopTimeout: 2 * time.Minute,
	}
	if n, err := strconv.Atoi(os.Getenv("TEST_STOP")); err == nil {
		cmd.StopSignal = syscall.Signal(n)
	}
	if d, err := time.ParseDuration(os.Getenv("TEST_TIMEOUT")); err == nil {
		cmd.StopTimeout = d
	}
	if os.Getenv("TEST_RELEASE") != "" {
		cmd.Release = func(send func()) {
			time.Sleep(cmd.StopTimeout + killTimeout + treePoll)
			send()
		}
	}
	if spec := os.Getenv("TEST_USER"); spec != "" {
		passwd, group, _ := strings.Cut(os.Getenv("TEST_FILES"), ":")
		if cmd.User, err = lookupUser(spec, passwd, group); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		cmd.Env = cmd.User.Environ(cmd.Env)
	}
	if cmd.Path, err = Resolve(args[0], cmd.Dir, os.Getenv("PATH")); err == nil {
		var p *Process
		if p, err = s.Start(cmd); err == nil {
			if os.Getenv("TEST_THREADS") != "" {
				loseThreads()
				fmt.Println("threads have gone")
			}
			if os.Getenv("TEST_COPY") != "" {
				io.WriteString(Terminal(os.Stdout), "copied while the app has the terminal\n") // as a logger does
			}
			for {
				select {
				case sig := <-signals:
					if file := os.Getenv("TEST_CAUSE"); file != "" && sig == syscall.SIGUSR1 {
						cause(file)
					}
					p.Pass(sig)
					continue
				case <-p.Gone():
				}
				break
			}
			if sig := p.Status().Signal(); sig != 0 && p.Status().String() == "" {
				return 1
			}
			return p.Status().ExitCode()
		}
	}
	var start *StartError
	if !errors.As(err, &start) {
		fmt.Fprintln(os.Stderr, "no StartError:", err)
		return 1
	}
	fmt.Fprintln(os.Stderr, start)
	return start.ExitCode
}

// loseThreads starts threads and waits until they have ended.
func loseThreads() {
	tids := make(chan int)
	for range 10 {
		go func() {
			runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
			tids <- unix.Gettid()
		}()
	}
	for range 10 {
		tid := <-tids
		for tid != os.Getpid() && unix.Tgkill(os.Getpid(), tid, 0) == nil {
			time.Sleep(time.Millisecond)
		}
	}
}

// many runs an app for every exit status and every signal that ends one, all
// under one Supervisor, and prints how each ended.
func many() int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // children of nohup ignore it otherwise
	s, err := New()
	if err != nil {
		return 1
	}
	defer s.Close()
	run := func(script string) {
		p, err := s.Start(Command{
			Path: "/bin/sh", Args: []string{"-c", script}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
			StopSignal: syscall.SIGTERM, StopTimeout: time.Second,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		<-p.Gone()
		// A program that the kernel gives cores to gets them even with a limit of 0: core(5).
		text := strings.TrimSuffix(p.Status().String(), " (core dumped)")
		fmt.Println(p.Status().ExitCode(), int(p.Status().Signal()), text)
	}
	for code := range 256 {
		run("exit " + strconv.Itoa(code))
	}
	for sig := 1; sig <= 64; sig++ {
		if ends(sig) {
			run("ulimit -c 0; kill -" + strconv.Itoa(sig) + " $$")
		}
	}
	return 0
}

// ends reports whether a signal's default action ends a process (signal(7)).
func ends(sig int) bool {
	switch syscall.Signal(sig) {
	case syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGURG, syscall.SIGWINCH, 32, 33:
		return false
	}
	return true
}

// listen prints the number of each signal that it gets, until SIGTERM or $TEST_STOP.
func listen() {
	c, _, err := Signals() // os/signal cannot catch all of them
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	for sig := range c {
		number, _ := Number(sig)
		n := int(number)
		if number == syscall.SIGCONT && os.Getenv("TEST_CONT") == "" {
			continue // comes with every stop
		}
		fmt.Println(n)
		if strconv.Itoa(n) == os.Getenv("TEST_STOP") || n == int(syscall.SIGTERM) {
			os.Exit(0)
		}
	}
}

// command returns the command of a wrapper around args, with further environment.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(self(t), args...)
	cmd.Env = append(append(os.Environ(), "TEST_ROLE=wrap"), env...)
	cmd.Stderr = os.Stderr
	return cmd
}

func self(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// started starts a command and returns its output, line by line.
func started(t *testing.T, cmd *exec.Cmd) *bufio.Reader {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return bufio.NewReader(out)
}

func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	text, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", text, err)
	}
	return strings.TrimSuffix(text, "\n")
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// gone waits until no process has the pid any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	redistest.Eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
		stat, err := readStat(pid)
		// A zombie is left to its parent, which may be slow.
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && stat.ended()
	})
}

func TestEveryStatus(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(self(t))
	cmd.Env = append(os.Environ(), "TEST_ROLE=many")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for code := range 256 {
		fmt.Fprintf(&want, "%d 0 exit status %d\n", code, code)
	}
	for sig := 1; sig <= 64; sig++ {
		if ends(sig) {
			fmt.Fprintf(&want, "%d %d killed by %s\n", 128+sig, sig, SignalName(syscall.Signal(sig)))
		}
	}
	got := strings.SplitAfter(string(out), "\n")
	for i, want := range strings.SplitAfter(want.String(), "\n") {
		if i >= len(got) || got[i] != want {
			t.Fatalf("line %d is not %q in\n%s", i, want, out)
		}
	}
}

func TestSignalName(t *testing.T) {
	t.Parallel()
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGSEGV: "SIGSEGV", 34: "SIGRTMIN+0", 64: "SIGRTMIN+30", 32: "signal 32",
	} {
		if got := SignalName(sig); got != want {
			t.Errorf("%d is %s, want %s", int(sig), got, want)
		}
	}
	if got := (Status{raw: syscall.WaitStatus(11 | 0x80)}); got.String() != "killed by SIGSEGV (core dumped)" || !got.CoreDumped() || got.ExitCode() != 139 {
		t.Errorf("%v, %d", got, got.ExitCode())
	}
}

// TestForward sends the wrapper every signal: the app gets each once, except for the wrapper's
// own ones.
func TestForward(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"TEST_APP=listen", "TEST_STOP=64", "TEST_CONT=1"}, self(t))
	out := started(t, cmd)
	if got := line(t, out); got != "ready" {
		t.Fatal(got)
	}
	for n := 1; n < 64; n++ {
		sig := syscall.Signal(n)
		switch sig {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM, 33:
			continue
		}
		cmd.Process.Signal(sig)
		switch sig {
		case syscall.SIGCHLD, syscall.SIGURG:
			continue // not forwarded
		}
		// Signals that are ignored at the wrapper's start stay ignored. The C library's
		// posix_spawn, which make uses, makes its children ignore 32.
		if before, err := setAction(sig, nil); err == nil && before.handler == sigIgnore {
			continue
		}
		if got := line(t, out); got != strconv.Itoa(n) {
			t.Errorf("the app got signal %s, want %d", got, n)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	got := line(t, out)
	if got == strconv.Itoa(int(syscall.SIGCONT)) { // comes with every stop, and may arrive first
		got = line(t, out)
	}
	if got != "64" {
		t.Errorf("SIGTERM became %s, want the stop signal, 64", got)
	}
	if code := exitCode(t, cmd.Wait()); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestSignalBeforeStart sends SIGTERM before the app is started.
func TestSignalBeforeStart(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"TEST_LATE=1"}, "sleep", "1000")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := started(t, cmd)
	if got := line(t, out); got != "late" {
		t.Fatal(got)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	io.WriteString(stdin, "\n")
	if code := exitCode(t, cmd.Wait()); code != 143 {
		t.Errorf("exit status %d, want 143", code)
	}
}

// TestTree ends apps that leave processes behind in various ways. Each script prints the pids
// of processes that must be gone.
func TestTree(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		script  string
		pids    int
		stop    bool
		timeout string
		code    int
	}{
		"app ends, child remains":  {`sleep 1000 & echo $!; exit 5`, 1, false, "2m", 5},
		"setsid":                   {`setsid sleep 1000 & echo $!; sleep 1000`, 1, true, "2m", 143},
		"double fork":              {`f=$(mktemp); (setsid sh -c "sleep 1000 & echo \$!; echo x >$f" &); while [ ! -s $f ]; do sleep 0.01; done; rm $f; exit 0`, 1, false, "2m", 0},
		"child ignores SIGTERM":    {`sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & wait`, 1, true, "300ms", 143},
		"app ignores SIGTERM":      {`trap "" TERM; echo $$; while :; do sleep 1; done`, 1, true, "300ms", 137},
		"no time to stop":          {`trap "" TERM; echo $$; while :; do sleep 1; done`, 1, true, "0s", 137},
		"app is stopped":           {`echo $$; kill -STOP $$; exit 1`, 1, true, "2m", 143},
		"child is stopped":         {`sleep 1000 & kill -STOP $!; echo $!; exit 3`, 1, false, "2m", 3},
		"app ends well on SIGTERM": {`trap 'exit 8' TERM; echo $$; while :; do sleep 0.01; done`, 1, true, "2m", 8},
		"children of children":     {`sh -c 'sleep 1000 & echo $!; setsid sh -c "sleep 1000 & echo \$!; wait" & echo $!; wait' & wait`, 3, true, "2m", 143},
		"first thread has ended": {`f=$(mktemp); python3 -c '
import ctypes, os, threading, time
def work():
    while ") Z " not in open("/proc/self/stat").read(): time.sleep(0.01)
    print(os.getpid(), flush=True)
    time.sleep(1000)
threading.Thread(target=work).start()
ctypes.CDLL(None).pthread_exit(None)' >$f & while [ ! -s $f ]; do sleep 0.01; done; cat $f; rm $f; exit 5`, 1, false, "300ms", 5},
		"new ones while stopping": {`fork() { trap '' TERM; [ $1 -gt 0 ] && { sleep 0.01; fork $(($1-1)) & }; sleep 1000; }; echo $$; fork 50 & wait`, 1, true, "1s", 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, []string{"TEST_TIMEOUT=" + tt.timeout}, "sh", "-c", tt.script)
			out := started(t, cmd)
			var pids []int
			for range tt.pids {
				pid, err := strconv.Atoi(line(t, out))
				if err != nil {
					t.Fatal(err)
				}
				pids = append(pids, pid)
			}
			if tt.stop {
				cmd.Process.Signal(syscall.SIGTERM)
			}
			// At the pipe's end no process is left that has it open.
			io.Copy(io.Discard, out)
			if code := exitCode(t, cmd.Wait()); code != tt.code {
				t.Errorf("exit status %d, want %d", code, tt.code)
			}
			for _, pid := range pids {
				gone(t, pid)
			}
		})
	}
}

// TestOneStopSignal: what the app leaves behind gets the stop signal once, also without /proc.
func TestOneStopSignal(t *testing.T) {
	t.Parallel()
	for name, proc := range map[string]string{"with /proc": "proc", "without /proc": "tmpfs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 {
				t.Skip("only root mounts something over /proc")
			}
			cmd := command(t, []string{"TEST_TIMEOUT=500ms", "TEST_PROC=" + proc}, "sh", "-c",
				`sh -c 'trap "echo stop" TERM; (trap "" TERM; echo ready; exec sleep 1000) & while :; do wait; done' & read x; exit 5`)
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out := started(t, cmd)
			if got := line(t, out); got != "ready" {
				t.Fatal(got)
			}
			in.Close()
			rest, _ := io.ReadAll(out)
			if code := exitCode(t, cmd.Wait()); string(rest) != "stop\n" || code != 5 {
				t.Errorf("%q, exit status %d", rest, code)
			}
		})
	}
}

// TestLateEnd has an app end long after its deadline, as one whose large core is written. What it
// leaves behind is ended all the same.
func TestLateEnd(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"TEST_TIMEOUT=10ms", "TEST_RELEASE=1"}, "sh", "-c",
		`setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & sleep 1000`)
	out := started(t, cmd)
	pid, err := strconv.Atoi(line(t, out))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	gone(t, pid)
}

// TestForeignChild execs the wrapper in a shell that already has a child.
func TestForeignChild(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sh", "-c", `sleep 1000 >/dev/null & echo $!; exec "$0" true`, self(t))
	cmd.Env = append(os.Environ(), "TEST_ROLE=wrap")
	out := started(t, cmd)
	pid, err := strconv.Atoi(line(t, out))
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	if code := exitCode(t, cmd.Wait()); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the child that was there before: %v", err)
	}
}

// TestPdeathsig kills the wrapper: the app does not outlive it, but outlives its threads.
func TestPdeathsig(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"TEST_THREADS=1"}, "sh", "-c", "echo $$; exec sleep 1000")
	out := started(t, cmd)
	pid := 0
	for range 2 {
		if said := line(t, out); said != "threads have gone" {
			var err error
			if pid, err = strconv.Atoi(said); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("the app, after threads of the wrapper have ended: %v", err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	gone(t, pid)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	args := []string{"two words", "", "'\"", "$(id) `id` $HOME", "a\nb", "\xff\xfe", "*", "--"}
	cmd := command(t, []string{"TEST_APP=arguments"}, append([]string{self(t)}, args...)...)
	out, err := cmd.Output()
	if want := fmt.Sprintf("%q\n", append([]string{self(t)}, args...)); err != nil || string(out) != want {
		t.Errorf("%v\n got %swant %s", err, out, want)
	}
	cmd = command(t, []string{"TEST_DIR=" + dir, "TEST_X=a b"}, "sh", "-c", `pwd; echo "$TEST_X"`)
	if out, err = cmd.Output(); err != nil || string(out) != dir+"\na b\n" {
		t.Errorf("%v: %q", err, out)
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "text", "noshebang": "text", "interpreter": "#!/no/such/interpreter\n", "private": "#!/bin/sh\n"} {
		mode := os.FileMode(0o755)
		switch name {
		case "plain":
			mode = 0o644
		case "private":
			mode = 0o700
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(dir, 0o755)
	if err := os.Mkdir(dir+"/closed", 0); err != nil {
		t.Fatal(err)
	}
	unprivileged := []string{"TEST_USER=4242", "TEST_FILES=/none:/none"}
	for _, tt := range []struct {
		path string
		env  []string
		code int
		says string
	}{
		{dir + "/none", nil, 127, dir + "/none does not exist"},
		{dir + "/plain/none", nil, 127, dir + "/plain/none does not exist"},
		{"no-such-program", nil, 127, `no executable called "no-such-program" on PATH (`},
		{"no-such-program", []string{"PATH=" + dir + "/closed"}, 127, `no executable called "no-such-program" on PATH (`},
		{"./none", []string{"TEST_DIR=" + dir}, 127, dir + "/none does not exist"},
		{dir, nil, 126, dir + " is a directory"},
		{dir + "/plain", nil, 126, dir + "/plain may not be executed"},
		{"./plain", []string{"TEST_DIR=" + dir}, 126, dir + "/plain may not be executed"},
		{dir + "/noshebang", nil, 126, dir + "/noshebang is no program for this machine"},
		{dir + "/interpreter", nil, 126, dir + "/interpreter cannot be executed: the interpreter or loader it names does not exist"},
		{dir + "/private", unprivileged, 126, dir + "/private may not be executed"},
		{"/bin/true", []string{"TEST_DIR=" + dir + "/none"}, 125, "the directory " + dir + "/none to start in does not exist"},
		{"/bin/true", append(unprivileged, "TEST_DIR="+dir+"/closed"), 125, "the directory " + dir + "/closed to start in may not be entered"},
	} {
		t.Run(filepath.Base(tt.path), func(t *testing.T) {
			if tt.env != nil && tt.env[0] == unprivileged[0] && os.Geteuid() != 0 {
				t.Skip("only root can change its user")
			}
			cmd := command(t, tt.env, tt.path)
			cmd.Stderr = nil
			_, err := cmd.Output()
			var exit *exec.ExitError
			if !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if exit.ExitCode() != tt.code || !strings.HasPrefix(string(exit.Stderr), tt.says) {
				t.Errorf("%s %v: %d, %q; want %d, %q", tt.path, tt.env, exit.ExitCode(), exit.Stderr, tt.code, tt.says)
			}
		})
	}
}

// TestNotRoot runs a wrapper that is not root and is to change the user.
func TestNotRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	// Only root may read the test binary's directory, so the test runs a copy elsewhere.
	dir, err := os.MkdirTemp("/tmp", "notroot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Another process writes the copy: a file that we have open for writing, or a child that
	// another test is just forking, cannot be executed. go test built ours with the umask it had.
	file := filepath.Join(dir, "wrapper")
	if text, err := exec.Command("install", "-m", "755", self(t), file).CombinedOutput(); err != nil {
		t.Fatalf("install: %v: %s", err, text)
	}
	cmd := exec.Command(file, "/bin/true")
	cmd.Env = append(os.Environ(), "TEST_ROLE=wrap", "TEST_USER=4242", "TEST_FILES=/none:/none")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4243, Gid: 4243}}
	_, err = cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit.ExitCode() != 125 || !strings.HasPrefix(string(exit.Stderr), "cannot become user 4242: ") {
		t.Errorf("%v: %s", err, exit.Stderr)
	}
}

const (
	passwdFile = "root:x:0:0::/root:/bin/bash\nbroken\narcher:x:1234:1235:The archer:/home/archer:/bin/zsh\nbare:x:77:78:::\n1234:x:99:99::/odd:/bin/odd\n"
	groupFile  = "archer:x:1235:\nvideo:x:44:someone,archer\nrender:x:109:archer\nother:x:110:archery\n"
)

// accounts writes files like /etc/passwd and /etc/group.
func accounts(t *testing.T) (passwd, group string) {
	t.Helper()
	dir := t.TempDir()
	passwd, group = filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	if err := errors.Join(os.WriteFile(passwd, []byte(passwdFile), 0o644), os.WriteFile(group, []byte(groupFile), 0o644)); err != nil {
		t.Fatal(err)
	}
	return passwd, group
}

func TestLookupUser(t *testing.T) {
	t.Parallel()
	passwd, group := accounts(t)
	for spec, want := range map[string]string{
		"archer":       "{archer 1234 1235 [44 109 1235] /home/archer /bin/zsh}",
		"archer:video": "{archer 1234 44 [44 109] /home/archer /bin/zsh}",
		"archer:5000":  "{archer 1234 5000 [44 109 5000] /home/archer /bin/zsh}",
		"1234":         "{1234 99 99 [99] /odd /bin/odd}", // a name wins over a number
		"77":           "{bare 77 78 [78] / /bin/sh}",
		"4242":         "{4242 4242 4242 [4242] / /bin/sh}",
		"4242:44":      "{4242 4242 44 [44] / /bin/sh}",
		"nobody-here":  `no such user: "nobody-here" is not in ` + passwd,
		"archer:none":  `no such user: the group "none" is not in ` + group,
		"-1":           `no such user: "-1" is not in ` + passwd,
	} {
		u, err := lookupUser(spec, passwd, group)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(*u)
		} else if !errors.Is(err, ErrNoUser) {
			t.Errorf("%s: the error is no ErrNoUser", spec)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", spec, got, want)
		}
	}
	if u, err := lookupUser("5", "/no/such/passwd", "/no/such/group"); err != nil || u.UID != 5 {
		t.Errorf("without files: %v, %v", u, err)
	}
}

// TestUser becomes a user with groups, as root.
func TestUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can change its user")
	}
	passwd, group := accounts(t)
	cmd := command(t, []string{"TEST_USER=archer", "TEST_FILES=" + passwd + ":" + group, "HOME=/root", "LOGNAME=root"}, "sh", "-c",
		`grep -E '^(Uid|Gid|Groups):' /proc/self/status; echo $HOME $USER $LOGNAME $SHELL`)
	out, err := cmd.Output()
	want := "Uid:\t1234\t1234\t1234\t1234\nGid:\t1235\t1235\t1235\t1235\nGroups:\t44 109 1235 \n/home/archer archer archer /bin/zsh\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n got %q\nwant %q", err, out, want)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	rest := " S 42 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876 0 0"
	for _, name := range []string{"sh", "a) R 1 (b", ")))", "two words", ""} {
		got, err := parseStat([]byte("7 (" + name + ")" + rest))
		if err != nil || got != (procStat{'S', 42, 1, 9876, 4194560}) {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
	for _, text := range []string{"", "7 (sh", "7 (sh) S 42", "7 (sh) S x 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 9876"} {
		if got, err := parseStat([]byte(text)); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	const years = 50 * 365 * 24 * time.Hour
	if got := (procStat{started: uint64(years.Seconds()) * ticksPerSecond}).afterBoot(); got != years {
		t.Errorf("%v after boot, want %v", got, years)
	}
}

// TestTerminal runs the wrapper on a terminal of its own: typed text reaches the app, Ctrl-C
// too, once, and the terminal is handed back.
func TestTerminal(t *testing.T) {
	t.Parallel()
	// The shell leads the session. Its own group must be in the foreground again when the
	// wrapper has ended, or the last stty would stop the shell. Without noflsh the terminal
	// discards output after it has sent the signal: also what the app says of it.
	cmd := exec.Command("sh", "-c", `stty noflsh; "$0" sh -c 'trap "echo interrupted" INT; echo ready; read x; echo "read $x"; read y; echo "read $y"; exit 6'; echo "status $?"; stty sane && echo back`, self(t))
	cmd.Env = append(os.Environ(), "TEST_ROLE=wrap")
	tty := onTerminal(t, cmd)
	tty.until("ready")
	tty.typed("first\n")
	tty.until("read first")
	tty.typed("\x03")
	tty.typed("second\n") // the shell may get the signal just before it reads, and act on it after
	tty.until("interrupted")
	tty.until("status 6")
	tty.until("back")
	if n := strings.Count(tty.seen.String(), "interrupted"); n != 1 {
		t.Errorf("Ctrl-C came %d times: %q", n, tty.seen.String())
	}
}
