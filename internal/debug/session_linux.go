package debug

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A session is one client, or none in a trial, and its gdbserver.
type session struct {
	client net.Conn
	hello  []byte        // the bytes that the client has sent already
	left   chan struct{} // closed when copying between client and gdbserver ends
	done   chan struct{} // closed when the session is over
	ending chan struct{} // closed by quit
	quit   func()        // asks the session to end; may be called again

	mu     sync.Mutex
	server *process.Process // nil until it is started
	last   func()           // called just before gdbserver detaches from the stopped app

	points breakpoints   // the client's points in the app
	conn   *net.UnixConn // gdbserver's standard input and output
	stderr chan string   // gdbserver's standard error, once it has ended
}

func newSession(client net.Conn) *session {
	ending := make(chan struct{})
	return &session{
		client: client, left: make(chan struct{}), done: make(chan struct{}),
		ending: ending, quit: sync.OnceFunc(func() { close(ending) }),
	}
}

// leaveWith asks the session to end, and to call f just before gdbserver detaches. f is not
// called if gdbserver is already gone.
func (s *session) leaveWith(f func()) {
	s.mu.Lock()
	s.last = f
	s.mu.Unlock()
	s.quit()
}

// awaitEnd waits until the session is over, if it begins to end within secondTimeout. So a debugger
// that reconnects at once is not turned away as a second one.
func (s *session) awaitEnd() {
	select {
	case <-s.left:
		<-s.done
	case <-s.done:
	case <-time.After(secondTimeout):
	}
}

// kill kills gdbserver. The kernel then detaches it from the app, and leaves its breakpoints
// in.
func (s *session) kill() {
	s.quit()
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	if server != nil {
		server.Forward(syscall.SIGKILL)
		<-server.Gone()
	}
}

// An attachError is gdbserver's message that it may not attach.
type attachError struct{ said string }

func (e *attachError) Error() string { return e.said }

// Times of a session.
const (
	attachTimeout = 10 * time.Second       // for gdbserver to attach and answer
	leaveTimeout  = 200 * time.Millisecond // for gdbserver to detach as its client told it
	stopTimeout   = time.Second            // for the app to stop
	quitTimeout   = 2 * time.Second        // for gdbserver to detach
	secondTimeout = time.Second            // for a session to begin to end, while the next client waits; gdb does so for 2 s
)

// begin starts gdbserver as the app's user and waits until it has attached. The app is then
// held, and s.conn in the state that a new client expects.
func (d *Debugger) begin(s *session) error {
	err := d.startServer(s)
	if err != nil && s.conn != nil {
		s.kill()
		s.conn.Close()
	}
	return err
}

func (d *Debugger) startServer(s *session) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "gdbserver")
	ours := os.NewFile(uintptr(fds[0]), "gdbserver")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		theirs.Close()
		return fmt.Errorf("make a socket pair: %w", err)
	}
	s.conn = conn.(*net.UnixConn)
	stderr, w, err := os.Pipe()
	if err != nil {
		theirs.Close()
		return fmt.Errorf("make a pipe: %w", err)
	}
	server, err := d.opts.Supervisor.Start(process.Command{
		Path: d.gdbserver,
		Args: []string{"--once", "--attach", "stdio", strconv.Itoa(d.app.PID())},
		Dir:  "/",
		// Not the app's environment: it may have an LD_PRELOAD.
		Env:  []string{"PATH=/usr/bin:/bin"},
		User: d.cmd.User, Ambient: d.ambient, Tool: true,
		Stdin: theirs, Stdout: theirs, Stderr: w,
		StopSignal: syscall.SIGKILL,
	})
	w.Close()
	theirs.Close()
	if err != nil {
		stderr.Close()
		return err
	}
	s.mu.Lock()
	s.server = server
	s.mu.Unlock()
	s.stderr = make(chan string, 1)
	go func() {
		// The pipe ends with gdbserver, which has no children.
		text, _ := io.ReadAll(io.LimitReader(stderr, 64<<10))
		io.Copy(io.Discard, stderr)
		stderr.Close()
		s.stderr <- string(text)
	}()

	answered := make(chan error, 1)
	go func() { answered <- ask(s.conn, "?") }()
	select {
	case err = <-answered:
	case <-s.ending:
		err = errors.New("the debugging ended while gdbserver attached")
	}
	if err == nil {
		return nil
	}
	s.kill()
	said := strings.TrimSpace(<-s.stderr)
	if why := refusal(said); why != "" {
		return &attachError{why}
	}
	if said != "" {
		return fmt.Errorf("gdbserver did not attach, and last said %q: %w", said[strings.LastIndexByte(said, '\n')+1:], err)
	}
	return fmt.Errorf("gdbserver did not attach: %w", err)
}

// refusal returns gdbserver's message that it may not attach, or "".
func refusal(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "annot attach") || strings.Contains(line, "not permitted") {
			return strings.TrimSpace(strings.TrimPrefix(line, "gdbserver: "))
		}
	}
	return ""
}

// run runs one client's session. If it could not be set up, run returns ": " and the error, for
// the log; else "".
func (d *Debugger) run(s *session) (end string) {
	defer s.client.Close()
	attached := false
	defer func() {
		d.mu.Lock()
		d.freed = d.freed || attached
		freed := d.freed
		d.mu.Unlock()
		// A gdbserver that detaches from a stopped app, or ends while it attaches, leaves the app
		// stopped, or about to be. An app that has not run yet stays paused if none has attached.
		if freed {
			d.app.Forward(syscall.SIGCONT)
		}
	}()
	d.setup.Lock()
	err := d.begin(s)
	if err != nil {
		d.setup.Unlock()
		return ": " + err.Error()
	}
	attached = true
	defer s.conn.Close()
	err = d.clear(s)
	d.setup.Unlock()
	if err != nil {
		s.kill()
		return ": " + err.Error()
	}
	d.copy(s)
	return ""
}

// copy copies between a client and its gdbserver until one of them is gone or quit is called,
// and then ends both.
func (d *Debugger) copy(s *session) {
	fromClient, fromServer := make(chan struct{}), make(chan struct{})
	go func() {
		io.Copy(s.conn, io.TeeReader(io.MultiReader(bytes.NewReader(s.hello), s.client), &s.points))
		close(fromClient)
	}()
	go func() {
		io.Copy(s.client, s.conn)
		close(fromServer)
	}()
	select {
	case <-fromClient: // the client has left, or gdbserver has detached
	case <-fromServer: // writing to the client has failed; copying from it may hang in a write to gdbserver
	case <-s.server.Exited():
	case <-s.ending:
	}
	close(s.left)
	select {
	case <-s.server.Exited():
		s.client.SetWriteDeadline(time.Now().Add(quitTimeout))
		<-fromServer // gdbserver's last output is copied
		s.client.Close()
		<-fromClient
		return
	case <-time.After(leaveTimeout):
	}
	s.client.Close()
	s.conn.SetDeadline(time.Now()) // ends both copies, so that only part uses conn
	<-fromClient
	<-fromServer
	d.part(s)
}

// clear removes the traces of the paused start in the kernel, before the first client. Attaching
// has queued a SIGSTOP, and the app still counts as stopped, so new threads would stop at once.
//
//  1. SIGCONT ends both. But it stays queued itself, because the app is traced.
//  2. Another SIGSTOP removes the SIGCONT. At "continue" it stops the app before it runs an
//     instruction. A client would pass this SIGSTOP on to the app.
//  3. So "continue" again, to a SIGTRAP, which clients do not pass on. It is also what gdbserver
//     reports for an app that it has just started.
func (d *Debugger) clear(s *session) error {
	d.mu.Lock()
	freed := d.freed
	d.mu.Unlock()
	if freed {
		return nil
	}
	d.app.Forward(syscall.SIGCONT)
	d.app.Forward(syscall.SIGSTOP)
	if err := ask(s.conn, "c"); err != nil {
		return err
	}
	d.app.Forward(syscall.SIGTRAP)
	return ask(s.conn, "c")
}

// ask sends a command whose answer is a stop report, and waits for that.
func ask(conn *net.UnixConn, command string) error {
	conn.SetDeadline(time.Now().Add(attachTimeout))
	defer conn.SetDeadline(time.Time{})
	r := &remote{conn}
	if err := r.send(command); err != nil {
		return err
	}
	answer, err := r.receive()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "T") {
		return fmt.Errorf("gdbserver answers %.40q to %s", answer, command)
	}
	_, err = conn.Write([]byte("+"))
	return err
}

// part ends a gdbserver whose client is gone. gdbserver reads commands only while the app is
// stopped, so part stops the app, removes the breakpoints, which would stay otherwise, and has
// gdbserver detach.
func (d *Debugger) part(s *session) {
	d.app.Forward(syscall.SIGSTOP)
	stopped := 0
	for until := time.Now().Add(stopTimeout); stopped < 5 && !d.app.Dead() && time.Now().Before(until); {
		select {
		case <-s.server.Gone():
			return
		case <-time.After(10 * time.Millisecond):
		}
		if d.app.State() == 't' {
			stopped++
		} else {
			stopped = 0 // the stop was only momentary
		}
	}
	s.conn.SetDeadline(time.Now().Add(quitTimeout))
	if err := s.points.remove(s.conn); err != nil && !d.app.Dead() {
		d.opts.Log.Warn("breakpoints may be left in the app", "error", err)
	}
	s.mu.Lock()
	last := s.last
	s.mu.Unlock()
	if last != nil {
		last()
	}
	// D detaches. Without it gdbserver would kill, at the end of its input, an app that has called
	// exec: it takes that for a program that it has started itself.
	(&remote{s.conn}).send("D;" + strconv.FormatInt(int64(d.app.PID()), 16))
	s.conn.CloseWrite()
	select {
	case <-s.server.Gone():
	case <-time.After(quitTimeout):
		s.kill()
	}
}
