package examples

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// setting returns the values of a key in a unit file.
func setting(t *testing.T, file, key string) (values []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^`+key+`=(.*)$`).FindAllStringSubmatch(string(text), -1) {
		values = append(values, m[1])
	}
	if len(values) == 0 {
		t.Fatalf("%s has no %s=", file, key)
	}
	return values
}

// TestUnitFiles has systemd-analyze verify the unit files.
func TestUnitFiles(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	dir := t.TempDir()
	tool := filepath.Join(bin, "wrapp")
	for file, oldnew := range map[string][]string{
		"systemd/camera.service":      {"/usr/local/bin/wrapp", tool},
		"ship/wrapp-ship.service":     {"ExecStart=wrapp", "ExecStart=" + tool},
		"prometheus/wrapp-ls.service": nil,
		"prometheus/wrapp-ls.timer":   nil,
	} {
		adapt(t, dir, file, oldnew...)
	}
	units, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, units...)...).CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "camera.service") || strings.Contains(line, "wrapp-") {
			t.Errorf("systemd-analyze: %s", line)
		}
	}
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNotifyManager runs the unit's command like systemd: the app's sd_notify messages come from
// the main process, WATCHDOG=1 only with WatchdogSec.
func TestNotifyManager(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	app, err := filepath.Abs("apps/camera.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, watched := range []bool{true, false} {
		t.Run(fmt.Sprintf("watched %v", watched), func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			dir := t.TempDir()
			if _, err := s.Dial(0).Do("ACL", "SETUSER", "camera", "on", ">pw", "allkeys", "allcommands"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "redis"), []byte("pw\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			config := adapt(t, dir, "systemd/camera.toml", `host = "localhost"`, fmt.Sprintf("port = %d", s.Port),
				"/run/credentials/camera.service", dir, `executable = "/usr/local/bin/camera"`, `executable = "`+app+`"`+"\nstream_name = \"camera\"")
			notify := filepath.Join(redistest.SocketDir(t), "notify")
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			raw, err := manager.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			raw.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
			})
			if err != nil {
				t.Fatal(err)
			}
			command := strings.ReplaceAll(setting(t, "systemd/camera.service", "ExecStart")[0], "/etc/camera.toml", config)
			command = strings.ReplaceAll(command, "/usr/local/bin/", "")
			if watched {
				seconds := setting(t, "systemd/camera.service", "WatchdogSec")[0]
				command = "WATCHDOG_PID=$$ WATCHDOG_USEC=" + seconds + "000000 exec " + command
			} else {
				command = "exec " + command
			}
			cmd := exec.Command("sh", "-c", command)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "WRAPP_SPOOL_DIR="+t.TempDir())
			begin(t, cmd)
			heard := make(chan string, 1000)
			go func() {
				defer close(heard)
				text, control := make([]byte, 1000), make([]byte, 100)
				for {
					n, nc, _, _, err := manager.ReadMsgUnix(text, control)
					if errors.Is(err, net.ErrClosed) {
						return
					}
					messages, err := syscall.ParseSocketControlMessage(control[:nc])
					if err != nil || len(messages) == 0 {
						continue
					}
					if cred, err := syscall.ParseUnixCredentials(&messages[0]); err == nil && int(cred.Pid) == cmd.Process.Pid {
						heard <- string(text[:n])
					}
				}
			}()
			if got := <-heard; got != "READY=1" {
				t.Errorf("heard %q first", got)
			}
			if watched {
				for range 3 {
					if got := <-heard; got != "WATCHDOG=1" {
						t.Errorf("heard %q", got)
					}
				}
			}
			c := s.Dial(2)
			defer c.Close()
			eventually(t, "3 beats", func() bool {
				n, _ := redis.Int(c.Do("GET", "camera:__healthpool__watchdog_beats"))
				return n >= 3
			})
			eventually(t, "the pool is healthy", func() bool {
				return exec.Command("jettison_health", "--config", config, "--min-health", "1", "camera:watchdog").Run() == nil
			})
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != 128+int(syscall.SIGTERM) {
				t.Errorf("exit status %d", got)
			}
			manager.Close()
			for got := range heard {
				if !watched {
					t.Errorf("heard %q", got)
				}
			}
		})
	}
}

// TestQuadlet checks the quadlet's keys against podman's, and its paths against the configuration.
func TestQuadlet(t *testing.T) {
	t.Parallel()
	const file = "quadlet/camera.container"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields("AddCapability AddDevice Annotation AutoUpdate ContainerName DropCapability Environment EnvironmentFile Exec ExposeHostPort Group " +
		"HealthCmd HealthInterval HealthOnFailure HealthRetries HealthStartPeriod HealthTimeout HostName Image Label LogDriver Mask Mount Network NoNewPrivileges " +
		"Notify PodmanArgs PublishPort ReadOnly RemapGid RemapUid RemapUsers Rootfs RunInit SeccompProfile Secret Sysctl Timezone Tmpfs Ulimit User UserNS Volume")
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if key, _, ok := strings.Cut(line, "="); ok && section == "[Container]" && line[0] != '#' && !slices.Contains(known, key) {
			t.Errorf("podman 4.4 knows no %s", key)
		} else if strings.HasPrefix(line, "[") {
			section = line
		}
	}
	inside := make(map[string]bool)
	for _, volume := range setting(t, file, "Volume") {
		parts := strings.Split(volume, ":")
		inside[parts[1]] = true
		if strings.HasSuffix(parts[0], ".volume") {
			if _, err := os.Stat(filepath.Join("quadlet", parts[0])); err != nil {
				t.Error(err)
			}
		}
	}
	config := strings.Fields(setting(t, file, "Exec")[0])[1]
	spool := strings.TrimPrefix(setting(t, file, "Environment")[0], "WRAPP_SPOOL_DIR=")
	health := setting(t, file, "HealthCmd")[0]
	if !inside[config] || !inside[spool] || !strings.Contains(health, config) {
		t.Errorf("%s, %s, %s: %v", config, spool, health, inside)
	}
}

// TestJetson wants the same paths and the same pool in the Dockerfile and the configuration.
func TestJetson(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("jetson/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	shown := output(t, "wrapp", "check", "jetson/camera.toml")
	for _, path := range []string{"/usr/local/bin/camera", "/var/lib/wrapp"} {
		if !strings.Contains(shown, path) || !strings.Contains(string(text), path) {
			t.Errorf("%s is not in both: %s", path, shown)
		}
	}
	if !strings.Contains(shown, "[health.pools.frames]") || !strings.Contains(string(text), `"camera:frames"`) {
		t.Errorf("the health command asks for another pool: %s", shown)
	}
}
