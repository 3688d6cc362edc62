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
		"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
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

// remove deletes a stream.
func (s *server) remove(key string) error {
	c, err := redis.Dial("tcp", s.addr(), redis.DialDatabase(1))
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Do("DEL", key)
	return err
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
