package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A server is a redis-server that syncs every write before it answers.
type server struct {
	dir  string
	port int
	cmd  *exec.Cmd
}

func newServer(dir string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.Close()
	s := &server{dir: dir, port: l.Addr().(*net.TCPAddr).Port}
	return s, s.up()
}

func (s *server) addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// up starts the server and waits until it answers.
func (s *server) up() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "redis.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command("redis-server", "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "always")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for until := time.Now().Add(60 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		c, err := redis.Dial("tcp", s.addr())
		if err == nil {
			_, err = c.Do("PING")
			c.Close()
		}
		if err == nil {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("redis-server does not answer: %w", err)
		}
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// takeAll returns all entries of a stream, and deletes it in the same instant if
// remove is true.
func (s *server) takeAll(key string, remove bool) ([]any, error) {
	c, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(1))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if !remove {
		return redis.Values(c.Do("XRANGE", key, "-", "+"))
	}
	c.Send("MULTI")
	c.Send("XRANGE", key, "-", "+")
	c.Send("DEL", key)
	both, err := redis.Values(c.Do("EXEC"))
	if err != nil {
		return nil, err
	}
	return redis.Values(both[0], nil)
}

func (s *server) messages(key string) ([]string, error) {
	entries, err := s.takeAll(key, false)
	if err != nil {
		return nil, err
	}
	var messages []string
	for _, e := range entries {
		_, message, err := parseEntry(e)
		if err != nil {
			return nil, err
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func parseEntry(e any) (id, message string, err error) {
	pair, err := redis.Values(e, nil)
	if err != nil || len(pair) != 2 {
		return "", "", fmt.Errorf("no entry: %v", e)
	}
	id, err = redis.String(pair[0], nil)
	if err != nil {
		return "", "", err
	}
	fields, err := redis.Strings(pair[1], nil)
	if err != nil || len(fields) < 2 || fields[0] != "message" {
		return "", "", fmt.Errorf("no entry of ours: %q", fields)
	}
	return id, strings.Join(fields[1:], " "), nil
}
