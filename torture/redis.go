package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A server is a redis-server. A durable one syncs every write before it answers.
type server struct {
	dir     string
	port    int
	mark    net.Listener // mark: reserves the port also while the server is down; see reserve in redistest
	durable bool
	cmd     *exec.Cmd

	there    sync.RWMutex // locked while the server is down, so that no writer connects
	down     bool
	restarts []int64 // sizes of the append-only file when servers began to write to it
}

func newServer(dir string, durable bool) (*server, error) {
	s := &server{dir: dir, durable: durable, down: true}
	s.there.Lock()
	if err := s.reserve(); err != nil {
		return nil, err
	}
	return s, s.up()
}

// reserve gives the server a free port of the loopback address, below those that Linux gives to
// outgoing connections: one of these might have it while the server is killed.
func (s *server) reserve() (err error) {
	// A process that is forked meanwhile would listen there, too, until it runs its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	for range 1000 {
		s.port = 10_000 + rand.IntN(22_000)
		if s.mark, err = net.Listen("unix", fmt.Sprintf("@redistest-port-%d", s.port)); err != nil {
			continue
		}
		var l net.Listener
		if l, err = net.Listen("tcp", s.addr()); err == nil {
			return l.Close()
		}
		s.mark.Close()
	}
	return err
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// up starts the server and waits until it answers.
func (s *server) up() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "redis.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	appendonly := map[bool]string{true: "yes", false: "no"}[s.durable]
	s.cmd = exec.Command("redis-server", "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", appendonly, "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := redis.Dial("tcp", s.addr())
		if err == nil {
			_, err = c.Do("PING")
			c.Close()
		}
		if err == nil {
			if s.durable {
				err = s.began()
			}
			s.down = false
			s.there.Unlock()
			return err
		}
		if time.Now().After(until) {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

func (s *server) kill() {
	if s.down {
		return
	}
	s.there.Lock()
	s.down = true
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// errAway says that the server is down.
var errAway = errors.New("the server is not there")

// connect connects to the server, unless it is down or still loads its data.
func (s *server) connect() (net.Conn, error) {
	if !s.there.TryRLock() {
		return nil, errAway
	}
	defer s.there.RUnlock()
	return net.Dial("tcp", s.addr())
}

// dial connects to our database, unless the server is down or still loads its data.
func (s *server) dial() (redis.Conn, error) {
	return redis.Dial("tcp", s.addr(), redis.DialDatabase(1), redis.DialNetDial(func(string, string) (net.Conn, error) {
		return s.connect()
	}))
}

func (s *server) stop() { s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *server) cont() { s.cmd.Process.Signal(syscall.SIGCONT) }

// do executes one command.
func (s *server) do(command string, args ...any) (any, error) {
	c, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Do(command, args...)
}

// remove deletes a stream.
func (s *server) remove(key string) error {
	_, err := s.do("DEL", key)
	return err
}

// info returns a field of XINFO STREAM of our stream, "" if there is no stream.
func (s *server) info(field string) (string, error) {
	info, err := redis.Values(s.do("XINFO", "STREAM", key))
	if err != nil && strings.HasPrefix(err.Error(), "ERR no such key") {
		return "", nil
	}
	for i := 0; i+1 < len(info); i += 2 {
		if name, _ := redis.String(info[i], nil); name == field {
			if n, err := redis.Int(info[i+1], nil); err == nil {
				return strconv.Itoa(n), nil
			}
			return redis.String(info[i+1], nil)
		}
	}
	return "", err
}

// landed returns how many entries of our stream Redis has taken from wrapps, by their positions.
func (s *server) landed() (entries int, err error) {
	c, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(1))
	if err != nil {
		return 0, err
	}
	defer c.Close()
	positions, err := redis.Strings(c.Do("KEYS", "{"+key+"}:wrapp:*"))
	if err != nil {
		return 0, err
	}
	for _, position := range positions {
		text, err := redis.String(c.Do("GET", position))
		if err != nil {
			return 0, err
		}
		var ordinal uint64
		var count int
		if _, err := fmt.Sscanf(text, "%d %d", &ordinal, &count); err != nil {
			return 0, fmt.Errorf("%s has %q: %w", position, text, err)
		}
		entries += count
	}
	return entries, nil
}

// said returns the messages of :status.
func (s *server) said() (messages []string, err error) {
	entries, err := redis.Values(s.do("XRANGE", statusKey, "-", "+"))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		pair, err := redis.Values(entry, nil)
		if err != nil || len(pair) != 2 {
			return nil, fmt.Errorf("XRANGE answered %q, %v", entry, err)
		}
		fields, err := redis.StringMap(pair[1], nil)
		if err != nil {
			return nil, err
		}
		messages = append(messages, fields["message"])
	}
	return messages, nil
}

// version returns the version of the server.
func (s *server) version() string {
	text, _ := redis.String(s.do("INFO", "server"))
	_, rest, _ := strings.Cut(text, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r")
	return version
}
