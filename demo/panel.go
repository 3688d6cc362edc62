package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// robot is the app that the panel shows: it writes, warns, and dies now and then.
const robot = `echo "sensor 0: 1920x1080, 30 fps"
for frame in $(seq 1 60); do
	echo "frame $frame"
	[ $((frame % 7)) -ne 0 ] || echo "WARN  frame $frame was late"
	[ $((frame % 20)) -ne 0 ] || echo "ERROR frame $frame came without pixels" >&2
	echo "{{frames}}{{exposure:$((frame % 9))}}"
	sleep 0.5
done
kill -SEGV $$`

// showPanel runs the panel until ctx ends, which is no error.
func showPanel(ctx context.Context, w io.Writer) error {
	if err := runPanel(ctx, w); ctx.Err() == nil {
		return err
	}
	return nil
}

// runPanel starts Redis, the panel, and an app again and again.
func runPanel(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "jettison-panel-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(w, "Building wrapp and jettison_panel ...")
	for name, from := range map[string]string{"wrapp": "jettison", "jettison_panel": "jettison_panel"} {
		if err := build(ctx, dir, name, from); err != nil {
			return err
		}
	}
	store, err := findRedis(ctx, dir)
	if err != nil {
		return err
	}
	defer store.stop()
	fmt.Fprintf(w, "Redis: %s.\n", store.what)
	config := filepath.Join(dir, "camera.toml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `[redis]
url = %q
[app]
executable = "/bin/sh"
args = ["-c", %q]
stream_name = "demo-camera"
[health.pools.frames]
init = 100
cap = 100
depletion_rate = 20
replenish_rate = 10
beat = ["output"]
`, store.url, robot), 0o600); err != nil {
		return err
	}
	start := func(env, name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, name), args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "WRAPP_SPOOL_DIR="+dir, env)
		cmd.Stdout, cmd.Stderr = w, w
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = stopTimeout
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
		return cmd
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	apps := make(chan struct{})
	go func() {
		defer close(apps)
		for ctx.Err() == nil {
			start("REDIS_URL=", "wrapp", config).Run() // an error is expected: the app dies
		}
	}()
	err = start("REDIS_URL="+store.url, "jettison_panel").Run()
	stop()
	<-apps
	if err != nil {
		return fmt.Errorf("jettison_panel: %w", err)
	}
	return nil
}
