// Demo runs wrapp's main job with nothing installed but Go: it builds wrapp, finds
// or starts a Redis, runs a small app and shows what arrived.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// beApp in the environment makes this program the app.
const beApp = "DEMO_BE_APP"

// embedded in the environment keeps the demo from looking for redis-server.
const embedded = "DEMO_EMBEDDED_REDIS"

func main() {
	if os.Getenv(beApp) != "" {
		os.Exit(app(os.Stdout, os.Stderr))
	}
	if err := run(os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "demo: error: %v\n", err)
		os.Exit(1)
	}
}

// app is what wrapp runs: it says a few things, and fails in the end.
func app(stdout, stderr io.Writer) int {
	fmt.Fprintln(stdout, "INFO  hello from the app")
	for i := range 3 {
		fmt.Fprintf(stdout, "INFO  frame %d {{__healthpool__demo_beats}}\n", i)
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintln(stderr, "WARNING the sensor is warm")
	fmt.Fprintln(stdout, "a long line: "+strings.Repeat("0123456789", 12)+" and so on")
	fmt.Fprint(stderr, "ERROR giving up, without an end of line")
	return 3
}

func run(w io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "jettison-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Fprintln(w, "building wrapp ...")
	wrapp := filepath.Join(dir, "wrapp")
	build := exec.Command("go", "build", "-trimpath", "-o", wrapp, "github.com/lpportorino/jettison-base-images/cmd/wrapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, text)
	}

	url, what, stop, err := findRedis(dir)
	if err != nil {
		return err
	}
	defer stop()
	fmt.Fprintf(w, "Redis: %s\n\n", what)

	self, err := os.Executable()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("demo-%d", os.Getpid())
	defer forget(url, name)

	// show runs wrapp as a person would.
	show := func(args ...string) (int, error) {
		shown := strings.ReplaceAll(strings.Join(args, " "), self, "demo-app")
		fmt.Fprintf(w, "$ wrapp %s\n", shown)
		cmd := exec.Command(wrapp, args...)
		cmd.Env = append(os.Environ(), "REDIS_URL=")
		cmd.Stdout, cmd.Stderr = w, w
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return 0, err
		}
		return cmd.ProcessState.ExitCode(), nil
	}
	address := "--redis=" + url
	if os.Getenv("REDIS_URL") != "" {
		// The URL may hold a password, and a command line is for all to see.
		file := filepath.Join(dir, "redis.toml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "[redis]\nurl = %q\n[app]\nexecutable = %q\nstream_name = %q\nenv = {%s = \"1\"}\n", url, self, name, beApp), 0o600); err != nil {
			return err
		}
		address = "--config=" + file
	}
	start := []string{address, "--passthrough=never", "--name=" + name, "--env=" + beApp + "=1", "--", self}
	if file, ok := strings.CutPrefix(address, "--config="); ok {
		start = []string{file}
	}
	status, err := show(start...)
	if err != nil {
		return err
	}
	if status != 3 {
		return fmt.Errorf("wrapp ended with %d, and the app with 3", status)
	}
	fmt.Fprintf(w, "exit status %d: the app's own\n\n", status)
	if status, err = show("logs", address, name); err != nil || status != 0 {
		return fmt.Errorf("wrapp logs ended with %d: %w", status, err)
	}
	return nil
}

// findRedis is the Redis of $REDIS_URL, one of our own, or one in this process.
func findRedis(dir string) (url, what string, stop func(), err error) {
	if url := os.Getenv("REDIS_URL"); url != "" {
		return url, "the one of REDIS_URL", func() {}, nil
	}
	if server, err := exec.LookPath("redis-server"); err == nil && os.Getenv(embedded) == "" {
		port, err := freePort()
		if err != nil {
			return "", "", nil, err
		}
		cmd := exec.Command(server, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
		if err := cmd.Start(); err != nil {
			return "", "", nil, fmt.Errorf("start redis-server: %w", err)
		}
		stop := func() { cmd.Process.Kill(); cmd.Wait() }
		url := fmt.Sprintf("redis://127.0.0.1:%d", port)
		for range 200 {
			if c, err := redis.DialURL(url); err == nil {
				c.Close()
				return url, "redis-server, started for the demo", stop, nil
			}
			time.Sleep(25 * time.Millisecond)
		}
		stop()
		return "", "", nil, errors.New("redis-server does not answer")
	}
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return "", "", nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	return "redis://" + mini.Addr(), "embedded (miniredis); wrapp itself works with a real one", mini.Close, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// forget deletes what the demo wrote; the Redis may be somebody's.
func forget(url, name string) {
	c, err := redis.DialURL(url, redis.DialDatabase(1))
	if err != nil {
		return
	}
	defer c.Close()
	for _, key := range entry.Keys(name) {
		c.Do("DEL", key)
	}
}
