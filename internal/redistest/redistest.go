// Package redistest starts real Redis servers for tests.
package redistest

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// A Server is a redis-server on a free port of the loopback address. It ends
// with its test.
type Server struct {
	t    testing.TB
	Port int
	Dir  string
	args []string
	file []string    // file: replaces args by a configuration file and further arguments
	tls  *tls.Config // tls: nil without TLS
	cmd  *exec.Cmd
}

// Start starts a server with further arguments as redis-server takes them, such
// as "--requirepass", "x", and waits until it answers.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := Prepare(t, args...)
	s.Up()
	return s
}

// Prepare returns a Server with a port of its own; Up starts it.
func Prepare(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Port: FreePort(t), Dir: t.TempDir(), args: args}
	t.Cleanup(s.Down)
	return s
}

// FreePort reserves a port of the loopback address until the test ends. It is below the ports
// of outgoing connections on Linux, and no other test process gets it.
func FreePort(t testing.TB) int {
	t.Helper()
	return freePort(t, 0)
}

// freePort is FreePort, and also reserves the port at that distance.
func freePort(t testing.TB, distance int) int {
	t.Helper()
	const first, end = 10000, 32000
	for range 10 * (end - first) {
		port := first + rand.IntN(end-first-distance)
		if reserve(t, port) && (distance == 0 || reserve(t, port+distance)) {
			return port
		}
	}
	t.Fatal("no port of the loopback address is free")
	return 0
}

// reserve reserves a port until the test ends, by an abstract socket, and reports whether it
// could.
func reserve(t testing.TB, port int) bool {
	mark, err := net.Listen("unix", fmt.Sprintf("@redistest-port-%d", port))
	if err != nil {
		return false
	}
	t.Cleanup(func() { mark.Close() })
	// A process that is forked meanwhile would listen there, too, until it runs its program.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// Up starts the server, if it is not up, and waits until it answers.
func (s *Server) Up() {
	s.t.Helper()
	if s.cmd != nil {
		return
	}
	log, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	args := s.file
	if args == nil {
		args = append([]string{
			"--port", fmt.Sprint(s.Port), "--bind", "127.0.0.1", "--dir", s.Dir,
			"--save", "", "--appendonly", "no",
		}, s.args...)
	}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// A test that is killed leaves no server behind.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := start(s.cmd); err != nil {
		s.t.Fatalf("start redis-server (make test installs it): %v", err)
	}
	s.Wait("redis-server answers", func() bool {
		c, err := redis.Dial("tcp", s.Addr(), s.options()...)
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Do("PING")
		var reply redis.Error // the server may ask for a password
		return err == nil || errors.As(err, &reply) && !strings.HasPrefix(err.Error(), "LOADING")
	})
}

// starts runs functions on a thread that lives as long as the process: Pdeathsig is about
// the starting thread.
var starts = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range queue {
			f()
		}
	}()
	return queue
})

func start(cmd *exec.Cmd) error {
	err := make(chan error)
	starts() <- func() { err <- cmd.Start() }
	return <-err
}

// Down kills the server, as a power cut would.
func (s *Server) Down() {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.cmd = nil
}

// Pause stops the server in its tracks; Resume lets it go on.
func (s *Server) Pause()  { s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *Server) Resume() { s.cmd.Process.Signal(syscall.SIGCONT) }

// options returns the options that redis.Dial needs to reach the server.
func (s *Server) options() []redis.DialOption {
	if s.tls == nil {
		return nil
	}
	return []redis.DialOption{redis.DialUseTLS(true), redis.DialTLSConfig(s.tls)}
}

// Addr returns host:port.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// URL returns the server's address for --redis.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Config returns a configuration that reaches the server, without TLS. It waits for a server that
// is slow to answer.
func (s *Server) Config() *config.Config {
	c := config.Default()
	c.Redis.Host, c.Redis.Port = "127.0.0.1", s.Port
	c.Redis.ConnectTimeout = late
	return c
}

// late is the time-out for another process on a busy machine.
const late = config.Duration(time.Minute)

// Hurried is the environment variable that switches Patient off.
const Hurried = "TEST_HURRIED"

// Patient replaces the default time-outs for Redis in a configuration by longer ones, so that
// a slow Redis gets the entries that a test reads, and not the spool. A test sets Hurried if
// Redis is away when wrapp ends.
func Patient(c *config.Config) {
	if os.Getenv(Hurried) != "" {
		return
	}
	def := config.Default()
	if c.Spool.DrainTimeout == def.Spool.DrainTimeout {
		c.Spool.DrainTimeout = late
	}
	if c.Redis.ConnectTimeout == def.Redis.ConnectTimeout {
		c.Redis.ConnectTimeout = late
	}
}

// Dial connects to a database of the server.
func (s *Server) Dial(db int, options ...redis.DialOption) redis.Conn {
	s.t.Helper()
	c, err := redis.Dial("tcp", s.Addr(), append(s.options(), append(options, redis.DialDatabase(db))...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// An Entry is a stream entry.
type Entry struct {
	ID     string
	Fields map[string]string
}

// Message returns the field message.
func (e Entry) Message() string { return e.Fields["message"] }

// Stream returns a whole stream of database 1.
func (s *Server) Stream(key string) []Entry {
	s.t.Helper()
	c := s.Dial(1)
	defer c.Close()
	values, err := redis.Values(c.Do("XRANGE", key, "-", "+"))
	if err != nil {
		s.t.Fatal(err)
	}
	entries := make([]Entry, len(values))
	for i, v := range values {
		pair, _ := redis.Values(v, nil)
		entries[i].ID, _ = redis.String(pair[0], nil)
		entries[i].Fields, _ = redis.StringMap(pair[1], nil)
	}
	return entries
}

// Messages returns the messages of a stream of database 1.
func (s *Server) Messages(key string) []string {
	s.t.Helper()
	entries := s.Stream(key)
	messages := make([]string, len(entries))
	for i, e := range entries {
		messages[i] = e.Message()
	}
	return messages
}
