package command

import (
	"bufio"
	"strings"
	"syscall"
	"testing"
)

// TestSignalsPassedOn sends wrapp signals that Go programs do not catch, and signals that stop
// a program by default.
func TestSignalsPassedOn(t *testing.T) {
	t.Parallel()
	signals := []struct {
		name string
		sig  syscall.Signal
	}{
		{"RTMIN", 34},
		{"RTMIN+1", 35},
		{"PROF", syscall.SIGPROF},
		{"TTIN", syscall.SIGTTIN},
		{"TTOU", syscall.SIGTTOU},
		{"PIPE", syscall.SIGPIPE},
		{"XFSZ", syscall.SIGXFSZ},
		{"XCPU", syscall.SIGXCPU},
		{"HUP", syscall.SIGHUP},
	}
	// bash 5.2 loses a signal that comes while it parses <(:), so the loop has none.
	script := "exec 3<> <(:); "
	for _, s := range signals {
		script += `trap "echo got ` + s.name + `" ` + s.name + "; "
	}
	script += `trap "echo bye; exit 3" TERM; echo ready; while :; do read -t 0.05 <&3; done`
	cmd := wrapp(t, "--redis", "redis://127.0.0.1:1", "--passthrough", "always", "--", "bash", "-c", script)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	r := bufio.NewReader(out)
	next := func(want string) {
		t.Helper()
		got, err := r.ReadString('\n')
		if strings.TrimSpace(got) != want {
			t.Fatalf("%q (%v), want %q", got, err, want)
		}
	}
	next("ready")
	for _, s := range signals {
		cmd.Process.Signal(s.sig)
		next("got " + s.name)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	next("bye")
	if got := code(t, cmd.Wait()); got != 3 {
		t.Errorf("exit status %d", got)
	}
}

// TestNohup starts wrapp as nohup does: wrapp and the app survive a hang-up.
func TestNohup(t *testing.T) {
	t.Parallel()
	cmd := wrapp(t, "--redis", "redis://127.0.0.1:1", "--passthrough", "always", "--", "sh", "-c", `echo $$; read x; exit 3`)
	cmd.Args = append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cmd.Process.Signal(syscall.SIGHUP)
	in.Write([]byte("go on\n"))
	if got := code(t, cmd.Wait()); got != 3 {
		t.Errorf("exit status %d", got)
	}
}
