package command

import (
	"net"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestNobodyAbove has who started wrapp take no notifications, or be gone: the app's
// heartbeats are heard all the same, and that is told once.
func TestNobodyAbove(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	above := filepath.Join(t.TempDir(), "above")
	upper, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: above, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer upper.Close()
	for name, socket := range map[string]string{"full": above, "gone": above + ".gone"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The kernel holds some 10 datagrams that nobody reads, and lets the
			// 12th wait.
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
			if strings.Count(told.String(), "\n") > 1 || name == "gone" && !strings.Contains(told.String(), "cannot pass on") {
				t.Error(told.String())
			}
		})
	}
}

// TestLastWords has an app end at once after a notification: what it said comes
// before its end.
func TestLastWords(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	// Of a second status within a second only the last one is told, at the end.
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
