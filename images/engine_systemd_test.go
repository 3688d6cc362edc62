//go:build docker

package images

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// testSystemd runs examples/systemd with systemd as PID 1 of a container. Two things differ
// from the example: times are short, and the password comes from a file, because the kernel may
// not let the container mount what LoadCredential needs.
func testSystemd(t *testing.T, e *engine) {
	image := "jettison-base-systemd:test"
	e.run(t, "import", "--change", `CMD ["/lib/systemd/systemd"]`, bootstrap(t, runtime.GOARCH, "systemd", "python3-minimal"), image)
	t.Cleanup(func() { e.try("rmi", "--force", image) }) // it has no label

	server := redistest.Start(t)
	if _, err := server.Dial(0).Do("ACL", "SETUSER", "camera", "on", ">pw", "allkeys", "allcommands"); err != nil {
		t.Fatal(err)
	}
	id := e.run(t, "create", "--label", e.label, "--network", "host", "--env", "container=docker",
		"--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--cgroupns", "host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup", "--tmpfs", "/run", "--tmpfs", "/tmp", image)
	t.Cleanup(func() { e.try("rm", "--force", id) }) // before its image
	dir := t.TempDir()
	// Static: this machine's C library may be newer than the container's.
	command(t, "env", "CGO_ENABLED=0", "go", "build", "-o", filepath.Join(dir, "wrapp"), "../cmd/jettison")
	config, err := os.ReadFile("../examples/systemd/camera.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(`host = "localhost"`, fmt.Sprintf("host = \"localhost\"\nport = %d", server.Port),
		"/run/credentials/camera.service/redis", "/etc/camera-redis").Replace(string(config))
	if err := os.WriteFile(filepath.Join(dir, "camera.toml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		filepath.Join(dir, "wrapp"):          "/usr/local/bin/wrapp",
		filepath.Join(dir, "camera.toml"):    "/etc/camera.toml",
		"../examples/apps/camera.py":         "/usr/local/bin/camera",
		"../examples/systemd/camera.service": "/etc/systemd/system/camera.service",
	} {
		e.run(t, "cp", from, id+":"+to)
	}
	e.run(t, "start", id)
	inside := func(script string) string {
		t.Helper()
		return e.run(t, "exec", id, "sh", "-ec", script)
	}
	until(t, "systemd is up", func() bool {
		state, _ := e.try("exec", id, "systemctl", "is-system-running")
		return strings.HasPrefix(state, "running") || strings.HasPrefix(state, "degraded")
	})
	inside(`useradd --system camera
echo pw >/etc/camera-redis; chown camera /etc/camera-redis; chmod 600 /etc/camera-redis
mkdir /etc/systemd/system/camera.service.d
printf '[Service]\nLoadCredential=\nWatchdogSec=10\nTimeoutAbortSec=5\n' >/etc/systemd/system/camera.service.d/test.conf
systemctl daemon-reload`)

	// A start of Type=notify ends with READY=1.
	inside("systemctl start camera")
	property := func(name string) string {
		t.Helper()
		return inside("systemctl show camera --value -p " + name)
	}
	if state := property("ActiveState"); state != "active" {
		t.Errorf("after READY=1 the unit is %s", state)
	}
	frames := func() int { return len(server.Messages("logs:app:camera:info")) }
	until(t, "frames for longer than WatchdogSec", func() bool { return frames() > 150 })
	if again := property("NRestarts"); again != "0" {
		t.Errorf("systemd has restarted the unit %s times although the app says WATCHDOG=1", again)
	}

	// An app that is stopped says no WATCHDOG=1, and no pool acts within WatchdogSec.
	run := fleet.RunKey("camera", fleet.InstanceID(inside("cat /proc/sys/kernel/hostname")))
	app, err := redis.Int(server.Dial(2).Do("HGET", run, "app_pid"))
	if err != nil {
		t.Fatal(err)
	}
	inside(fmt.Sprintf("kill -STOP %d", app))
	until(t, "a restart by systemd", func() bool { return property("NRestarts") == "1" })
	until(t, "the unit is up again", func() bool { return property("ActiveState") == "active" })
	before := frames()
	until(t, "frames again", func() bool { return frames() > before+10 })

	inside("systemctl stop camera")
	if state := property("ActiveState"); state != "inactive" && state != "failed" {
		t.Errorf("after the stop the unit is %s", state)
	}
	if last := server.Messages("logs:app:camera:status"); !strings.HasPrefix(last[len(last)-1], "{{__END_RUN_") {
		t.Errorf("the last word on :status is %q", last[len(last)-1])
	}
}
