package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestUserNotRoot has a configuration of the older wrapp name a user, while wrapp is not root:
// the app runs as wrapp's user, with one warning, which wrapp check prints, too.
func TestUserNotRoot(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dir := open(t)
	file := filepath.Join(dir, "older.json")
	host, port, _ := strings.Cut(s.Addr(), ":")
	if err := os.WriteFile(file, []byte(`{"redis": {"host": "`+host+`", "port": `+port+`}, "app": {"executable": "/bin/echo", "args": ["ran"], "user": "serviceuser"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const told = "only root can run the app as serviceuser"
	for _, args := range [][]string{{file}, {"check", file}} {
		cmd := asNobody(t, dir, wrapp(t, args...))
		text, err := cmd.CombinedOutput()
		if err != nil || strings.Count(string(text), told) != 1 {
			t.Errorf("%q: %v: %s", args, err, text)
		}
	}
	if got := output(t, s, "echo"); len(got) != 1 || got[0] != "ran" {
		t.Errorf("%q", got)
	}
	statuses := 0
	for _, e := range s.Stream("logs:app:echo:status") {
		statuses += strings.Count(e.Message(), told)
	}
	if statuses != 1 {
		t.Errorf("told %d times on :status", statuses)
	}
}

// TestSpoolPassedOver runs wrapp with another user's spool at /var/lib/wrapp, in a mount namespace: the
// next place is used, and stderr and :status tell of the first, once each.
func TestSpoolPassedOver(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("a mount namespace wants root")
	}
	s := redistest.Start(t)
	dir := open(t)
	cmd := asNobody(t, dir, wrapp(t, "--redis", s.URL(), "--name", "passed", "--", "echo", "ran"))
	cmd.SysProcAttr = nil
	cmd.Env = append(cmd.Env, "WRAPP_SPOOL_DIR=", "XDG_STATE_HOME="+dir)
	cmd.Args = append([]string{
		"unshare", "--mount", "sh", "-c",
		`mount -t tmpfs none /var/lib && mkdir -m 755 /var/lib/wrapp && mkdir -m 700 /var/lib/wrapp/passed && exec setpriv --reuid 65534 --regid 65534 --clear-groups -- "$0" "$@"`,
		cmd.Path,
	}, cmd.Args[1:]...)
	var err error
	if cmd.Path, err = exec.LookPath("unshare"); err != nil {
		t.Fatal(err)
	}
	const told = "the spool /var/lib/wrapp/passed belongs to user 0 (mode 0700) and wrapp runs as 65534; as root: chown -R 65534:65534 /var/lib/wrapp/passed"
	text, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(text), told) != 1 {
		t.Errorf("%v: %s", err, text)
	}
	statuses := 0
	for _, e := range s.Stream("logs:app:passed:status") {
		statuses += strings.Count(e.Message(), told)
	}
	if statuses != 1 {
		t.Errorf("told %d times on :status", statuses)
	}
}

// open returns a directory that every user may use.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wrapp-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// asNobody makes cmd run as a user who is not root: a copy of this program in dir, with dir as
// its working directory and spool.
func asNobody(t *testing.T, dir string, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return cmd
	}
	program := filepath.Join(dir, "program")
	if _, err := os.Stat(program); err != nil {
		data, err := os.ReadFile(cmd.Path)
		if err == nil {
			err = redistest.WriteProgram(program, data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path, cmd.Dir = program, dir
	cmd.Env = append(cmd.Env, "WRAPP_SPOOL_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}
