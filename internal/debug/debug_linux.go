// Package debug lets debuggers connect to an app that was started paused. It listens on one
// address, because gdbserver itself would listen on all, and runs a gdbserver on a socket
// pair for each client.
package debug

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// Options configure a Debugger.
type Options struct {
	Host string // a name or an IP address; Listen listens there and nowhere else
	Port int

	Supervisor *process.Supervisor // starts gdbserver
	Log        *slog.Logger
	Status     func(text string) // adds an entry to :status

	// Hold is called when the paused start or a debugger holds the app, and Free when
	// the app runs again. The calls alternate, Hold first, and never overlap.
	Hold, Free func()
}

// A Debugger is the debugging of one run. A nil one does nothing.
type Debugger struct {
	opts      Options
	gdbserver string // its path
	listener  net.Listener
	exposed   string // the warning about the address, or ""
	app       *process.Process
	cmd       *process.Command
	ambient   []uintptr // capabilities that gdbserver needs to attach
	work      sync.WaitGroup
	setup     sync.Mutex // held while a client's gdbserver attaches to the app

	mu      sync.Mutex
	session *session          // of the current client
	silent  map[net.Conn]bool // clients that have sent nothing yet
	freed   bool              // the app has run: a later stop is not ours
	closed  bool              // no more clients are admitted
}

// Start starts the app paused, checks that gdbserver may attach to it, and begins to admit
// clients. Its errors are *process.StartErrors; then no app is left.
func (d *Debugger) Start(cmd process.Command) (*process.Process, error) {
	if !readable(cmd.Path, cmd.User) {
		return nil, failed(cmd.Path+" may be executed but not read by user "+cmd.User.Name+", and gdbserver has to read it",
			"chmod +r it, or debug it as another user")
	}
	cmd.Paused, cmd.Release = true, d.release
	app, err := d.opts.Supervisor.Start(cmd)
	if err != nil {
		return nil, err
	}
	d.app, d.cmd = app, &cmd
	if err := d.try(); err != nil {
		app.Forward(syscall.SIGKILL)
		<-app.Gone()
		return nil, err
	}
	if d.exposed != "" {
		d.warn(d.exposed)
	}
	if privileged(cmd.Path) && (cmd.User != nil && cmd.User.UID != 0 || os.Geteuid() != 0) {
		d.warn(lostRights(cmd.Path))
	}
	d.opts.Hold()
	d.work.Go(d.watch)
	d.work.Go(d.serve)
	return app, nil
}

// readable says whether a file's mode lets a user read it. A gdbserver that may not read the
// program assumes 32 bits, and breaks it.
func readable(path string, user *process.User) bool {
	if user == nil || user.UID == 0 {
		return true
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(path, &stat); err != nil {
		return true // the start will fail, too, with a better error
	}
	switch {
	case stat.Uid == user.UID:
		return stat.Mode&0o400 != 0
	case stat.Gid == user.GID || slices.Contains(user.Groups, stat.Gid):
		return stat.Mode&0o040 != 0
	}
	return stat.Mode&0o004 != 0
}

// privileged says whether executing a file grants more rights. The kernel does not grant
// them to a process whose tracer lacks them.
func privileged(path string) bool {
	var stat syscall.Stat_t
	if syscall.Stat(path, &stat) == nil && stat.Mode&(syscall.S_ISUID|syscall.S_ISGID) != 0 {
		return true
	}
	size, err := unix.Getxattr(path, "security.capability", nil)
	return err == nil && size > 0
}

// try attaches once: first without a capability, which suffices unless yama limits ptrace, as
// on Ubuntu.
func (d *Debugger) try() error {
	refused := d.attachOnce()
	if refused != nil && process.Capable(unix.CAP_SYS_PTRACE) {
		d.ambient = []uintptr{unix.CAP_SYS_PTRACE}
		if d.attachOnce() == nil {
			return nil
		}
	}
	var why *attachError
	if errors.As(refused, &why) {
		return process.NoTracing(why.Error())
	}
	if refused != nil {
		return failed(refused.Error(), "")
	}
	return nil
}

// attachOnce has a gdbserver attach to the paused app and kills that gdbserver. The app stays
// stopped.
func (d *Debugger) attachOnce() error {
	s := newSession(nil)
	if err := d.begin(s); err != nil {
		return err
	}
	s.kill()
	s.conn.Close()
	for until := time.Now().Add(time.Second); d.app.State() != 'T' && time.Now().Before(until); {
		time.Sleep(time.Millisecond) // the app is about to be in a group stop again
	}
	return nil
}

// serve accepts clients until the listener is closed.
func (d *Debugger) serve() {
	for _, line := range d.howTo() {
		d.announce(line)
	}
	for {
		conn, err := d.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			d.opts.Log.Warn("a debugger cannot connect", "error", err)
			time.Sleep(time.Second) // out of descriptors, perhaps
			continue
		}
		d.work.Go(func() { d.awaitHello(conn) })
	}
}

// awaitHello waits for a client's first packet and then admits the client. A connection
// without one, such as a port scan or a health check, leaves a paused app paused.
func (d *Debugger) awaitHello(conn net.Conn) {
	d.mu.Lock()
	if d.closed {
		conn.Close()
	}
	d.silent[conn] = true // for Close
	d.mu.Unlock()
	conn.SetReadDeadline(time.Now().Add(helloTimeout))
	hello := make([]byte, 0, 4<<10)
	var err error
	for n := 0; err == nil && len(hello) < cap(hello) && !bytes.ContainsRune(hello, '$'); {
		n, err = conn.Read(hello[len(hello):cap(hello)])
		hello = hello[:len(hello)+n]
	}
	conn.SetReadDeadline(time.Time{})
	d.mu.Lock()
	delete(d.silent, conn)
	if !bytes.ContainsRune(hello, '$') || !d.admit(conn, hello) {
		conn.Close()
	}
	d.mu.Unlock()
}

// admit begins a client's session, unless another session goes on. d.mu must be held.
func (d *Debugger) admit(conn net.Conn, hello []byte) bool {
	if s := d.session; s != nil && !d.closed {
		d.mu.Unlock()
		s.awaitEnd()
		d.mu.Lock()
	}
	if d.session != nil && !d.closed {
		d.announce("a second debugger, " + conn.RemoteAddr().String() + ", is turned away: one is connected")
	}
	if d.session != nil || d.closed {
		return false
	}
	s := newSession(conn)
	s.hello = hello
	d.session = s
	d.work.Go(func() {
		d.announce("debugger connected from " + conn.RemoteAddr().String())
		end := d.run(s)
		d.mu.Lock()
		d.session = nil
		d.mu.Unlock()
		d.announce("debugger disconnected" + end)
		close(s.done)
	})
	return true
}

// release sends the app its stop signal. A debugger would hold the signal back; so it is sent
// just as the debugger detaches, and acts before the app's next instruction.
func (d *Debugger) release(send func()) {
	d.mu.Lock()
	d.closed = true
	s := d.session
	d.mu.Unlock()
	once := sync.OnceFunc(send)
	if s != nil {
		s.leaveWith(once)
		<-s.done
	}
	once()
}

const (
	watchEvery = 50 * time.Millisecond
	deadFor    = time.Second // how long a debugger may inspect an ended app

	helloTimeout = 30 * time.Second // for a client's first packet
)

// watch calls Hold and Free as the app is held and freed, until it has ended.
func (d *Debugger) watch() {
	held := true // by the paused start
	tick := time.NewTicker(watchEvery)
	var deadSince time.Time
	for {
		select {
		case <-d.app.Exited():
			tick.Stop()
			if held {
				d.opts.Free()
			}
			return
		case <-tick.C:
		}
		if !d.setup.TryLock() {
			continue // attaching changes the app's state for a moment
		}
		state := d.app.State()
		d.mu.Lock()
		if state != 'T' && state != 't' {
			d.freed = true
		}
		now := state == 't' || state == 'T' && !d.freed
		s := d.session
		// Ctrl-C at a terminal goes to the app, and must end a paused one, too.
		if now && s == nil && d.app.Pending(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM) {
			d.freed = true
			d.app.Forward(syscall.SIGCONT)
		}
		d.mu.Unlock()
		d.setup.Unlock()
		if now != held {
			held = now
			if held {
				d.opts.Hold()
			} else {
				d.opts.Free()
			}
		}
		// An ended app must first be waited for by its tracer, and a gdbserver
		// whose client sits at a prompt does not wait.
		if s == nil || !d.app.Dead() {
			deadSince = time.Time{}
		} else if deadSince.IsZero() {
			deadSince = time.Now()
		} else if time.Since(deadSince) > deadFor {
			s.kill()
		}
	}
}

// Close closes the listener, and ends the session once its client has seen the app's end.
// Call it when the app has ended or was not started.
func (d *Debugger) Close() {
	if d == nil {
		return
	}
	d.mu.Lock()
	d.closed = true
	s := d.session
	for conn := range d.silent {
		conn.Close()
	}
	d.mu.Unlock()
	d.listener.Close()
	if s != nil {
		select {
		case <-s.done:
		case <-time.After(deadFor):
		}
		s.quit()
		<-s.done
	}
	d.work.Wait()
}

// warn is announce for a warning.
func (d *Debugger) warn(text string) {
	d.opts.Status(text)
	d.opts.Log.Warn(text)
}

// announce writes a text to the log and to :status.
func (d *Debugger) announce(text string) {
	d.opts.Status(text)
	d.opts.Log.Info(text)
}
