package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gomodule/redigo/redis"
)

// A server is a redis-server that syncs every write before it answers, if it is
// durable.
type server struct {
	dir     string
	port    int
	durable bool
	cmd     *exec.Cmd
}

func newServer(dir string, durable bool) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.Close()
	s := &server{dir: dir, durable: durable, port: l.Addr().(*net.TCPAddr).Port}
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
	appendonly := map[bool]string{true: "yes", false: "no"}[s.durable]
	s.cmd = exec.Command("redis-server", "--port", fmt.Sprint(s.port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", appendonly, "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
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

// info is a field of XINFO STREAM of our stream, empty if there is no stream.
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

// taking waits until the stream has got another entry.
func (s *server) taking() error {
	was, err := s.info("last-generated-id")
	if err != nil {
		return err
	}
	return until("the stream gets another entry", func() (bool, error) {
		now, err := s.info("last-generated-id")
		return now != was, err
	})
}

// version is that of the server.
func (s *server) version() string {
	text, _ := redis.String(s.do("INFO", "server"))
	_, rest, _ := strings.Cut(text, "redis_version:")
	version, _, _ := strings.Cut(rest, "\r")
	return version
}

// replay calls f for every command that the server has ever executed, which is
// what its append-only file says.
func (s *server) replay(f func(args []string) error) error {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("the append-only file: %q, %v", files, err)
	}
	file, err := os.Open(files[0])
	if err != nil {
		return err
	}
	defer file.Close()
	r := bufio.NewReaderSize(file, 1<<20)
	number := func(kind byte) (n int, err error) {
		line, err := r.ReadString('\n')
		if err == nil && (len(line) < 4 || line[0] != kind) {
			err = fmt.Errorf("the append-only file: %q", line)
		}
		if err == nil {
			n, err = strconv.Atoi(strings.TrimSpace(line[1:]))
		}
		return n, err
	}
	for {
		if next, err := r.Peek(1); err == nil && next[0] == '#' { // a remark
			r.ReadString('\n')
			continue
		}
		n, err := number('*')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		args := make([]string, n)
		for i := range args {
			size, err := number('$')
			if err != nil {
				return err
			}
			text := make([]byte, size+2)
			if _, err := io.ReadFull(r, text); err != nil {
				return err
			}
			args[i] = string(text[:size])
		}
		if err := f(args); err != nil {
			return err
		}
	}
}

// newest is the message of the newest entry of our stream.
func (s *server) newest() (string, error) {
	entries, err := redis.Values(s.do("XREVRANGE", key, "+", "-", "COUNT", 1))
	if err != nil || len(entries) == 0 {
		return "", err
	}
	pair, err := redis.Values(entries[0], nil)
	if err != nil || len(pair) != 2 {
		return "", fmt.Errorf("XREVRANGE answered %q, %v", pair, err)
	}
	fields, err := redis.StringMap(pair[1], nil)
	return fields["message"], err
}
