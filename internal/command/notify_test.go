package command

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestNobodyAbove has a receiver of wrapp's notifications that does not read, or is gone: the
// app's heartbeats count all the same, and one warning says so.
func TestNobodyAbove(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	above := filepath.Join(redistest.SocketDir(t), "above")
	upper, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: above, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	for name, socket := range map[string]string{"full": above, "gone": above + ".gone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The kernel holds some 10 unread datagrams; the sender of the
			// 12th has to wait.
			file := configure(t, s, shell(name, `
				for i in $(seq 60); do systemd-notify --status="$i"; done
				systemd-notify WATCHDOG=1
				exec sleep 1000`)+`
[health]
interval = "200ms"
[health.pools.api]
cap = 1000
beat = ["notify"]
`)
			cmd := wrapp(t, file)
			cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+socket)
			var told strings.Builder
			cmd.Stderr = &told
			begin(t, cmd)
			eventually(t, "it beats", func() bool { p, _ := pool(t, file, name+":api"); return p.Beats == 1 && p.Health > 0 })
			cmd.Process.Signal(syscall.SIGTERM)
			if got := code(t, cmd.Wait()); got != 143 {
				t.Errorf("exit status %d", got)
			}
			if strings.Count(apart(told.String()), "\n") > 1 || name == "gone" && !strings.Contains(told.String(), "cannot pass on") {
				t.Error(told.String())
			}
		})
	}
}

// TestLastWords has an app end right after a notification, which is reported before the end.
func TestLastWords(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	// A second status within one second is reported at the end.
	file := configure(t, s, shell("last", `
		systemd-notify --status=busy
		systemd-notify --status=bye
		exit 3`)+`
[health.pools.api]
cap = 1000
beat = ["notify"]
`)
	if out, err := wrapp(t, file).CombinedOutput(); code(t, err) != 3 {
		t.Errorf("%v: %s", err, out)
	}
	status := s.Messages("logs:app:last:status")
	said := slices.Index(status, "the app says: bye")
	ended := slices.IndexFunc(status, func(text string) bool { return strings.HasPrefix(text, "ended: exit status 3") })
	if said < 0 || ended < said {
		t.Errorf("%q", status)
	}
}

// TestNotify has the app use sd_notify, with systemd's own client.
func TestNotify(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	// wrapp has a NOTIFY_SOCKET itself.
	above := filepath.Join(redistest.SocketDir(t), "above")
	upper, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: above, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	socket := filepath.Join(t.TempDir(), "socket")
	file := configure(t, s, shell("notes", `
		echo "usec $WATCHDOG_USEC pid ${WATCHDOG_PID-none}"
		echo "$NOTIFY_SOCKET" >`+socket+`
		systemd-notify --ready --status="at work"
		for i in 1 2 3; do systemd-notify WATCHDOG=1; done
		# It speaks for its parent, so that must not be an orphan that we adopted.
		(setsid sh -c 'sleep 0.1; systemd-notify WATCHDOG=1; exit' &)
		while [ ! -e `+socket+`.go ]; do sleep 0.05; done
		systemd-notify WATCHDOG=trigger
		exec sleep 1000`)+`
[health]
interval = "200ms"
[health.pools.api]
cap = 1000
depletion_rate = 1
replenish_rate = 15
beat = ["notify"]
on_depleted = "stop"
`)
	cmd := wrapp(t, file)
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+above, "WATCHDOG_PID=1", "WATCHDOG_USEC=5")
	begin(t, cmd)
	eventually(t, "4 beats, one of them from a grandchild that left", func() bool {
		p, _ := pool(t, file, "notes:api")
		return p.Beats == 4 && p.Health > 900
	})

	// A process outside the app is ignored.
	at, err := os.ReadFile(socket)
	if err != nil {
		t.Fatal(err)
	}
	outside := exec.Command("systemd-notify", "WATCHDOG=1")
	outside.Env = append(os.Environ(), "NOTIFY_SOCKET="+strings.TrimSpace(string(at)))
	if out, err := outside.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}

	touch(t, socket+".go")
	if got := code(t, cmd.Wait()); got != 143 {
		t.Errorf("exit status %d", got)
	}
	if p, _ := pool(t, file, "notes:api"); p.Beats != 4 || p.Health != 0 || p.Exit != 143 {
		t.Errorf("at the end: %+v", p)
	}
	if got := output(t, s, "notes"); len(got) != 1 || got[0] != "usec 15000000 pid none" {
		t.Errorf("%q", got)
	}
	status := s.Messages("logs:app:notes:status")
	for _, want := range []string{
		"the app is ready", "the app says: at work", "the app triggers its watchdog",
		"health pool api is depleted", "stopping: health pool api is depleted",
	} {
		if !slices.Contains(status, want) {
			t.Errorf("%q is not told: %q", want, status)
		}
	}
	upper.SetReadDeadline(time.Now().Add(2 * time.Minute))
	heard := make([]byte, 1000)
	n, err := upper.Read(heard)
	if err != nil || !strings.Contains(string(heard[:n]), "READY=1") || !strings.Contains(string(heard[:n]), "STATUS=at work") {
		t.Errorf("above heard %q, %v", heard[:n], err)
	}
	if _, err := os.Stat(strings.TrimSpace(string(at))); err == nil {
		t.Error("the socket is left")
	}
}

// TestNotifyAsUser: an app of another user reaches the socket.
func TestNotifyAsUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can run an app as another user")
	}
	s := redistest.Start(t)
	file := configure(t, s, shell("other", "id -u; systemd-notify --ready WATCHDOG=1; exit 0")+`
user = "65534"
[health.pools.api]
cap = 1000
beat = ["notify"]
`)
	if out, err := wrapp(t, file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if p, _ := pool(t, file, "other:api"); p.Beats != 1 {
		t.Errorf("%+v, %q", p, output(t, s, "other"))
	}
}
