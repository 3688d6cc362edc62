package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// embedded, set in the environment, keeps the demo from using redis-server.
const embedded = "DEMO_EMBEDDED_REDIS"

// A store is the Redis that the demo uses.
type store struct {
	what   string // what: description for people
	url    string
	theirs bool // theirs: it is the user's, and its URL may hold a password
	name   string
	stop   func()
}

// findRedis returns the Redis of $REDIS_URL, one of our own, or an embedded one.
func findRedis(ctx context.Context, dir string) (*store, error) {
	s := &store{name: fmt.Sprintf("demo-%08x", rand.Uint32()), stop: func() {}}
	if given := os.Getenv("REDIS_URL"); given != "" {
		s.what, s.theirs = "the one of REDIS_URL", true
		s.url = withoutDatabase(given)
		conn, err := s.dial(ctx)
		if err != nil {
			return nil, fmt.Errorf("the Redis of REDIS_URL: %w", err)
		}
		conn.Close()
		return s, nil
	}
	reason := "no redis-server on PATH"
	if os.Getenv(embedded) != "" {
		reason = embedded + " is set"
	} else if server, err := exec.LookPath("redis-server"); err == nil {
		err := s.startServer(ctx, server, dir)
		if err == nil {
			return s, nil
		}
		reason = err.Error()
	}
	mini := miniredis.NewMiniRedis()
	if err := mini.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded Redis: %w", err)
	}
	s.what, s.url, s.stop = "embedded in this program (miniredis), as "+reason, "redis://"+mini.Addr(), mini.Close
	return s, nil
}

// Time-outs of a redis-server of our own.
const (
	startTimeout = 10 * time.Second // until it answers
	endTimeout   = 5 * time.Second  // from SIGTERM to SIGKILL
)

// startServer starts a redis-server on a free port of the loopback address.
func (s *store) startServer(ctx context.Context, server, dir string) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	cmd := exec.Command(server, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("redis-server did not start: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop := func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(endTimeout):
			cmd.Process.Kill()
			<-ended
		}
	}
	s.url = fmt.Sprintf("redis://127.0.0.1:%d", port)
	for until := time.Now().Add(startTimeout); time.Now().Before(until) && ctx.Err() == nil; {
		if conn, err := s.dial(ctx); err == nil {
			conn.Close()
			s.what, s.stop = fmt.Sprintf("%s, started for the demo on port %d", server, port), stop
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("redis-server ended at once: %v", cmd.ProcessState)
		case <-time.After(25 * time.Millisecond):
		}
	}
	stop()
	return errors.New("redis-server does not answer")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// withoutDatabase returns a URL without its path, such as "/0": to many clients the number
// of the database, for which wrapp has settings.
func withoutDatabase(given string) string {
	u, err := url.Parse(given)
	if err != nil || !strings.HasPrefix(u.Scheme, "redis") {
		return given
	}
	u.Path, u.RawPath = "", ""
	return u.String()
}

// commands returns the commands, in dir, that run the app, read its streams back and show
// its pool.
func (s *store) commands(dir string) (start, logs, health []string, err error) {
	pool := s.name + ":demo"
	if !s.theirs {
		return []string{"./wrapp", "--redis", s.url, "--name", s.name, "--", "./demo-app"},
			[]string{"./wrapp", "logs", "--redis", s.url, s.name},
			[]string{"./jettison_health", "--redis", s.url, pool}, nil
	}
	// Every user can read a command line, and the URL may hold a password.
	file := fmt.Sprintf("[redis]\nurl = %q\n\n[app]\nexecutable = \"./demo-app\"\nstream_name = %q\n", s.url, s.name)
	err = os.WriteFile(filepath.Join(dir, "demo.toml"), []byte(file), 0o600)
	return []string{"./wrapp", "demo.toml"},
		[]string{"./wrapp", "logs", "--config", "demo.toml", s.name},
		[]string{"./jettison_health", "--config", "demo.toml", pool}, err
}

// dial connects to the database of wrapp's streams.
func (s *store) dial(ctx context.Context) (*redisconn.Client, error) {
	cfg := config.Default()
	return s.dialDB(ctx, cfg.Redis.LogsDB)
}

func (s *store) dialDB(ctx context.Context, db int) (*redisconn.Client, error) {
	cfg := config.Default()
	if err := cfg.Redis.SetURL(s.url); err != nil {
		return nil, err
	}
	return redisconn.Dial(ctx, &cfg.Redis, db)
}

// forget deletes the demo's keys from the user's Redis.
func (s *store) forget() {
	if !s.theirs {
		return
	}
	cfg := config.Default()
	for _, db := range []int{cfg.Redis.LogsDB, cfg.Redis.ValuesDB} {
		conn, err := s.dialDB(context.Background(), db)
		if err != nil {
			return
		}
		conn.Scan(context.Background(), "*"+s.name+"*", func(key string) {
			conn.Do(context.Background(), conn.B().Del().Key(key).Build())
		})
		conn.Close()
	}
}
