package command

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/coretest"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
	"github.com/lpportorino/jettison-base-images/internal/run"
)

// deny, set in the environment, names a right that this test binary gives up before it acts
// as wrapp: "ptrace" and "attach" by a seccomp filter, as a container engine does, or
// "capability", CAP_SYS_PTRACE.
const deny = "TEST_DENY"

// denied executes this binary again, without the right that $TEST_DENY names.
func denied() {
	what := os.Getenv(deny)
	os.Unsetenv(deny)
	runtime.LockOSThread() // a filter belongs to its thread, and survives exec
	var err error
	switch what {
	case "ptrace":
		err = filter(unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: refuse})
	case "attach":
		const lowHalf = 16 // of the first argument
		err = filter(
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: lowHalf},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PTRACE_ATTACH, Jt: 2},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.PTRACE_SEIZE, Jt: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: refuse},
		)
	case "capability":
		err = unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
	}
	if err == nil {
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, what, err)
	os.Exit(1)
}

const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// filter installs a program that decides about ptrace(2); other system calls are allowed.
func filter(ptrace ...unix.SockFilter) error {
	const number = 0 // where the system call's number is
	program := append([]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_PTRACE, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}, ptrace...)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, err := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); err != 0 {
		return err
	}
	return nil
}

// TestDebugCannot expects status 125, one line that says what to do, and no app.
func TestDebugCannot(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	broken := filepath.Join(t.TempDir(), "gdbserver")
	if err := redistest.WriteProgram(broken, []byte("#!/bin/sh\necho It begins. >&2; echo error while loading shared libraries >&2; exit 127\n")); err != nil {
		t.Fatal(err)
	}
	const option = `--cap-add=SYS_PTRACE \(quadlet: AddCapability=SYS_PTRACE\)$`
	for _, row := range []struct {
		name string
		env  []string
		args []string
		says []string
	}{
		{"port in use", nil, []string{"--debug=" + taken.Addr().String()}, []string{`^wrapp: error: debug: 127\.0\.0\.1:\d+ is in use$`, `^wrapp: hint: choose another debug\.port`}},
		{"no such address", nil, []string{"--debug=192.0.2.1:2345"}, []string{`^wrapp: error: debug: 192\.0\.2\.1 is no address of this machine`}},
		{"no such host", nil, []string{"--debug=no-such-host.invalid:2345"}, []string{`^wrapp: error: debug: lookup no-such-host\.invalid`}},
		{"no gdbserver", []string{"PATH=/nonexistent"}, nil, []string{`^wrapp: error: debug: gdbserver is not on PATH$`, `^wrapp: hint: .*apt-get install gdbserver`}},
		{"broken gdbserver", []string{"PATH=" + filepath.Dir(broken) + ":" + os.Getenv("PATH")}, nil, []string{`^wrapp: error: debug: gdbserver did not attach, and last said "error while loading shared libraries": `}},
		{"no ptrace", []string{deny + "=ptrace"}, nil, []string{`^wrapp: error: the app cannot be debugged, because ptrace is not permitted here: .*` + option, `^wrapp: hint: .* seccomp=unconfined`}},
		{"no attaching", []string{deny + "=attach"}, nil, []string{`^wrapp: error: the app cannot be debugged, because ptrace is not permitted here \(Cannot attach to process \d+: Operation not permitted.*\): .*` + option}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			ran := filepath.Join(t.TempDir(), "ran")
			d := debugRun(t, s, row.env, append(row.args, "--", "/bin/sh", "-c", "touch "+ran)...)
			d.ends(125)
			saysAll(t, d.said(), row.says...)
			if n := strings.Count(d.said(), "\n"); n > 2 {
				t.Errorf("%d lines", n)
			}
			if _, err := os.Stat(ran); err == nil {
				t.Error("the app has run")
			}
			for _, command := range commandLines(t) {
				if strings.HasSuffix(command, "touch "+ran) {
					t.Errorf("the app is left behind: %s", command)
				}
			}
			errors := s.Messages("logs:app:" + d.name + ":error")
			if len(errors) != 1 || !strings.Contains(d.said(), "wrapp: error: "+errors[0]+"\n") {
				t.Errorf(":error has %q", errors)
			}
			saysNone(t, strings.Join(s.Messages("logs:app:"+d.name+":status"), "\n"), "^started", "paused")
		})
	}
}

// TestDebugUser debugs an app that runs as another user.
func TestDebugUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	t.Parallel()
	coretest.CanTrace(t)
	s := redistest.Start(t)
	gdbserver, err := exec.LookPath("gdbserver")
	if err != nil {
		t.Fatal(err)
	}
	// Another process writes the copy: a file cannot be executed while a process of ours, even
	// a child that is just being made, has it open for writing.
	copied := func() string {
		file := filepath.Join(t.TempDir(), "target")
		if out, err := exec.Command("cp", compiled(t), file).CombinedOutput(); err != nil {
			t.Fatalf("cp: %v: %s", err, out)
		}
		return public(file)
	}
	plain, capable, unreadable := copied(), copied(), copied()
	if err := unix.Setxattr(capable, "security.capability", netRaw, 0); err != nil {
		t.Fatalf("setcap: %v", err)
	}
	if err := os.Chmod(unreadable, 0o711); err != nil {
		t.Fatal(err)
	}
	// Under yama, Ubuntu's default, a process needs the capability to trace another's child. A
	// test cannot turn yama on, so a script stands in for it. Where yama is on, it refuses the
	// other rows, too.
	yama := filepath.Join(t.TempDir(), "gdbserver")
	text := `#!/bin/sh
grep -q '^CapEff:.*0000080000$' /proc/self/status || { echo "Cannot attach to process $4: Operation not permitted (1)" >&2; exit 1; }
exec ` + gdbserver + ` "$@"
`
	if err := redistest.WriteProgram(public(yama), []byte(text)); err != nil {
		t.Fatal(err)
	}
	path := "PATH=" + filepath.Dir(yama) + ":" + os.Getenv("PATH")
	const refused = `the app cannot be debugged, .*--cap-add=SYS_PTRACE`
	yamaIsOn, refusedByYama := coretest.Yama() > 0, ""
	if yamaIsOn {
		refusedByYama = refused
	}
	for _, row := range []struct {
		name, file string
		env        []string
		cannot     string // the error, if it cannot be debugged
	}{
		{"with everything", plain, nil, ""},
		{"without CAP_SYS_PTRACE", plain, []string{deny + "=capability"}, refusedByYama},
		{"yama", plain, []string{path}, ""},
		{"yama, without CAP_SYS_PTRACE", plain, []string{path, deny + "=capability"}, refused},
		{"with capabilities", capable, nil, ""},
		{"unreadable", unreadable, nil, `debug: /.*/target may be executed but not read by user nobody`},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := debugRun(t, s, row.env, "--user", "65534:65534", "--dir", "/", "--", row.file)
			if row.cannot != "" {
				d.ends(125)
				saysAll(t, d.said(), "^wrapp: error: "+row.cannot)
				return
			}
			d.paused()
			held := d.gdb(row.file, "break main", "continue", hold)
			if err := held.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "gdbserver is there", func() bool { return d.gdbserver() != "" })
			status, err := os.ReadFile("/proc/" + d.gdbserver() + "/status")
			if err != nil {
				t.Fatal(err)
			}
			saysAll(t, string(status), `^Uid:\s65534\s65534\s65534\s65534$`, `^Groups:\s65534 $`)
			want := `^CapEff:\s0000000000000000$`
			if row.name == "yama" || yamaIsOn {
				want = `^CapEff:\s0000000000080000$`
			}
			saysAll(t, string(status), want)
			const lost = "target has more rights than its user"
			if got := strings.Contains(d.said(), lost); got != (row.file == capable) {
				t.Errorf("the warning about lost rights is there: %v", got)
			}
			killGroupOf(t, held)
			d.ends(7)
		})
	}
}

// netRaw is CAP_NET_RAW as an attribute of a file, permitted and effective
// (capability.h, struct vfs_cap_data).
var netRaw = []byte{1, 0, 0, 2, 0, 1 << (unix.CAP_NET_RAW - 8), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// public lets every user reach a file in a directory of t.TempDir, whose parent is ours alone.
func public(file string) string {
	os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755)
	return file
}

// gdbserver returns the pid of the app's gdbserver.
func (d *debugged) gdbserver() string {
	status, _ := os.ReadFile("/proc/" + d.app + "/status")
	_, after, _ := strings.Cut(string(status), "\nTracerPid:\t")
	pid, _, _ := strings.Cut(after, "\n")
	if pid == "0" {
		return ""
	}
	return pid
}

// TestDebugSame compares what an app sees of itself with and without --debug.
func TestDebugSame(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const script = `env | grep -v -e ^PWD= -e ^_= -e ^WRAPP_SPOOL_DIR= | sort; pwd; id; umask; ulimit -a; cat /proc/self/limits; readlink /proc/self/fd/0
ps -o ppid=,pgid=,pid= -p $$ | awk '{ print ($2 == $3) }'; grep -E '^(Uid|Gid|Groups|NoNewPrivs|Seccomp|Sig(Blk|Ign|Cgt)|Cap|TracerPid|CoreDumping)' /proc/self/status
cat /proc/self/personality; for fd in /proc/self/fd/*; do readlink $fd; done | sed 's/[0-9]//g' | sort; exit 3`
	users := [][]string{nil}
	if os.Geteuid() == 0 {
		users = append(users, []string{"--user", "65534"})
	}
	for i, user := range users {
		t.Run([]string{"same user", "other user"}[i], func(t *testing.T) {
			t.Parallel()
			args := append(append([]string{"--env", "A=b", "--dir", "/"}, user...), "--", "/bin/sh", "-c", script)
			d := debugRun(t, s, nil, args...).paused()
			if i == 0 {
				d.debug("/bin/sh", "continue")
			} else {
				d.debug("/bin/sh", "detach")
			}
			d.ends(3)
			plain := wrapp(t, append([]string{"--redis", s.URL(), "--name", "plain" + fmt.Sprint(i)}, args...)...)
			if got := code(t, plain.Run()); got != 3 {
				t.Fatalf("exit status %d without --debug", got)
			}
			got, want := output(t, s, d.name), output(t, s, "plain"+fmt.Sprint(i))
			if len(want) < 20 {
				t.Errorf("only %d lines: %q", len(want), want)
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("with --debug:\n%s\nwithout:\n%s", g, w)
			}
		})
	}
}

// TestDebugFlag tries all forms of the flag.
func TestDebugFlag(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{
		"--debug":            "true 127.0.0.1 2345",
		"--debug=true":       "true 127.0.0.1 2345",
		"--debug=false":      "false 127.0.0.1 2345",
		"--debug=:99":        "true 127.0.0.1 99",
		"--debug=[::1]:1":    "true ::1 1",
		"--debug=name:65535": "true name 65535",
		"--debug=name":       "--debug: must be HOST:PORT",
		"--debug=1:x":        "--debug: must be HOST:PORT",
		"--debug=h:0":        "debug.port: must be from 1 to 65535",
		"--debug=h:65536":    "debug.port: must be from 1 to 65535",
		"--debug=a b:1":      "debug.host: must be a host name or an IP address, without port and brackets",
		"--debug=":           "--debug: must be HOST:PORT",
	} {
		args := []string{arg, "--", "true"}
		var cfg *config.Config
		err := execute(wrappCommand(run.Streams{}, args, func(c *config.Config, _ bool) error {
			cfg = c
			return nil
		}), args, run.Streams{}, flagError)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprint(cfg.Debug.Enabled, " ", cfg.Debug.Host, " ", cfg.Debug.Port)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", arg, got, want)
		}
	}
}
