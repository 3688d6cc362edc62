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

// A session is one client, or none in a trial, and the gdbserver for it.
type session struct {
	client net.Conn
	hello  []byte        // what it has said already
	left   chan struct{} // closed when the client or gdbserver is gone, if both were there
	done   chan struct{} // closed when it is over
	ending chan struct{} // closed by quit

	mu     sync.Mutex
	server *process.Process // nil until it is started
	quits  bool
	last   func() // called when gdbserver has the app stopped for the last time

	points breakpoints   // what the client has in the app
	conn   *net.UnixConn // gdbserver's standard input and output
	stderr chan string   // what it said there, once it has ended
}

func newSession(client net.Conn) *session {
	return &session{client: client, left: make(chan struct{}), done: make(chan struct{}), ending: make(chan struct{})}
}

// quit asks the session to end.
func (s *session) quit() {
	s.mu.Lock()
	if !s.quits {
		s.quits = true
		close(s.ending)
	}
	s.mu.Unlock()
}

// leaveWith asks the session to end and to call f just before it lets the app go.
func (s *session) leaveWith(f func()) {
	s.mu.Lock()
	s.last = f
	s.mu.Unlock()
	s.quit()
}

// awaitEnd waits for the end of a session that is ending, or is about to: a
// debugger that leaves and comes again at once is no second one.
func (s *session) awaitEnd() {
	select {
	case <-s.left:
		<-s.done
	case <-s.done:
	case <-time.After(secondTimeout):
	}
}

// kill kills gdbserver. The kernel lets the app go then, with whatever
// breakpoints are in it.
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

// An attachError says that gdbserver may not attach.
type attachError struct{ said string }

func (e *attachError) Error() string { return e.said }

// Times of a session.
const (
	attachTimeout = 10 * time.Second       // for gdbserver to attach and answer
	leaveTimeout  = 200 * time.Millisecond // for it to leave the app as its client told it
	stopTimeout   = time.Second            // for the app to be stopped
	quitTimeout   = 2 * time.Second        // for gdbserver to leave it
	secondTimeout = time.Second            // for a session to show its end to the next; gdb waits for 2 s
)

// attach starts a gdbserver for a client-less session and has it attach.
func (d *Debugger) attach() (*session, error) {
	s := newSession(nil)
	return s, d.begin(s)
}

// begin starts gdbserver as the app's user and waits until it has attached: the
// app is held by it then, and the connection is where a client finds it.
func (d *Debugger) begin(s *session) error {
	err := d.hold(s)
	if err != nil && s.conn != nil {
		s.kill()
		s.conn.Close()
	}
	return err
}

func (d *Debugger) hold(s *session) error {
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
		// Not the app's environment: an LD_PRELOAD is not meant for gdbserver.
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

// refusal is what of gdbserver's words tells that it may not attach.
func refusal(stderr string) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "annot attach") || strings.Contains(line, "not permitted") {
			return strings.TrimSpace(strings.TrimPrefix(line, "gdbserver: "))
		}
	}
	return ""
}

// run is one client's session from its connection to its end, and returns what
// there is to say about that.
func (d *Debugger) run(s *session) (end string) {
	defer s.client.Close()
	d.setup.Lock()
	err := d.begin(s)
	if err != nil {
		d.setup.Unlock()
		return ": " + err.Error() // a paused app is still paused
	}
	defer s.conn.Close()
	err = d.clear(s)
	d.setup.Unlock()
	defer func() {
		d.mu.Lock()
		d.freed = true
		d.mu.Unlock()
		// A gdbserver that leaves a stopped app leaves it stopped, or about to
		// be.
		d.app.Forward(syscall.SIGCONT)
	}()
	if err != nil {
		s.kill()
		return ": " + err.Error()
	}
	d.copy(s)
	return ""
}

// copy takes what a client and its gdbserver say to each other across until one
// of them is gone or the session is to end, and sees to it that both are.
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
	case <-fromClient: // by itself, or because gdbserver has left the app
	case <-fromServer: // a client that listens no longer may have blocked the other way
	case <-s.server.Exited():
	case <-s.ending:
	}
	close(s.left)
	select {
	case <-s.server.Exited():
		s.client.SetWriteDeadline(time.Now().Add(quitTimeout))
		<-fromServer // what it said last is through
		s.client.Close()
		<-fromClient
		return
	case <-time.After(leaveTimeout):
	}
	s.client.Close()
	s.conn.SetDeadline(time.Now()) // what else is said is between it and us
	<-fromClient
	<-fromServer
	d.part(s)
}

// clear takes from the first client what the paused start has left behind in the
// kernel: attaching has queued a SIGSTOP, and the app still counts as stopped,
// so that its threads would stop as they are made. SIGCONT ends both and is
// queued itself, because the app is traced; another SIGSTOP takes that away, and
// stops the app as it is told to go on, before it can run an instruction. That
// signal a client would pass on when it lets the app go on, but not a SIGTRAP,
// which is also what gdbserver shows of an app that it has just started.
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

// ask sends a command that has the app stop, or asks why it has, and wants such
// an answer.
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

// part ends a gdbserver whose client is gone. It leaves the app when it is told to,
// or its input has ended, for which it looks, as for everything, while the app is
// stopped only; its breakpoints it would leave in.
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
			stopped = 0 // it is stopped for moments only
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
	// At the end of its input it would kill an app that has executed another
	// program since, because it takes that for a process of its own.
	(&remote{s.conn}).send("D;" + strconv.FormatInt(int64(d.app.PID()), 16))
	s.conn.CloseWrite()
	select {
	case <-s.server.Gone():
	case <-time.After(quitTimeout):
		s.kill()
	}
}
