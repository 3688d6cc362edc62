package health

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
)

// A Notifier receives the app's sd_notify(3) messages: lines of NAME=VALUE in datagrams to
// the socket that $NOTIFY_SOCKET names. Listen, Drain and Close of a nil Notifier do nothing.
type Notifier struct {
	dir  string
	conn *net.UnixConn
	raw  syscall.RawConn

	keeper *Keeper
	opts   NotifyOptions
	relay  *relay
	done   chan struct{}

	closing sync.Once

	mu            sync.Mutex // mu: held while datagrams are handled, so that they stay in order
	text, control []byte     // text, control: buffers for one datagram

	status   string // status: the last STATUS=
	said     string // said: the last status that was reported
	saidAt   time.Time
	refusals int
}

// NotifyOptions say whose messages a Notifier accepts, and where it passes them on.
type NotifyOptions struct {
	Member func(pid int) bool // Member reports whether pid is a process of the app
	Status func(text string)  // Status writes to :status
	Log    *slog.Logger
	// Relay is the NOTIFY_SOCKET that wrapp itself was given, if any.
	Relay string
	// Watched says to relay WATCHDOG= as well.
	Watched bool
	// Last reports whether no other run of the app can follow; nil: none can. If one can, STOPPING=1
	// is not relayed: systemd would take it for the service's and kill it.
	Last func() bool
}

// Watchdog returns the time for $WATCHDOG_USEC: the longest period between two WATCHDOG=1
// that keeps every pool with the source notify from running empty. Pools of which a rate is 0
// do not count; without any other it is 0.
func Watchdog(pools map[string]config.Pool) time.Duration {
	shortest := time.Duration(math.MaxInt64)
	for _, p := range pools {
		if slices.Contains(p.Beat, beat.Notify) && p.DepletionRate > 0 && p.ReplenishRate > 0 {
			shortest = min(shortest, units(min(p.ReplenishRate, p.Cap)).lasts(p.DepletionRate))
		}
	}
	if shortest == math.MaxInt64 {
		return 0
	}
	return shortest.Truncate(time.Microsecond)
}

// NewNotifier makes the socket, which the user uid can write to. Listen begins to receive.
func NewNotifier(uid, gid int) (*Notifier, error) {
	var errs []error
	ours := os.Getenv("XDG_RUNTIME_DIR")
	// The directory keeps other users out. A path of a socket ends at 107 bytes.
	for _, base := range []string{ours, "/run", os.TempDir(), "/dev/shm"} {
		if base == "" || base == ours && uid != os.Geteuid() { // only its owner may enter $XDG_RUNTIME_DIR
			continue
		}
		n, err := newNotifier(base, uid, gid)
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("make a socket for sd_notify: %w", errors.Join(errs...))
}

func newNotifier(base string, uid, gid int) (_ *Notifier, err error) {
	dir, err := os.MkdirTemp(base, "wrapp-notify-")
	if err != nil {
		return nil, err
	}
	n := &Notifier{
		dir:     dir,
		done:    make(chan struct{}),
		text:    make([]byte, longestNotice),
		control: make([]byte, syscall.CmsgSpace(syscall.SizeofUcred)+syscall.CmsgSpace(4*mostFiles)),
	}
	defer func() {
		if err != nil {
			n.remove()
		}
	}()
	path := n.Socket()
	if n.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.conn.Close()
		}
	}()
	if uid != os.Geteuid() {
		if err := errors.Join(os.Chown(dir, uid, gid), os.Chown(path, uid, gid)); err != nil {
			return nil, err
		}
	}
	if n.raw, err = n.conn.SyscallConn(); err != nil {
		return nil, err
	}
	var failed error
	err = n.raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1)
	})
	return n, errors.Join(err, failed)
}

// remove removes the socket and its directory, unless that holds other files. The directory
// may belong to the app's user, who may have put a link in its place.
func (n *Notifier) remove() {
	if dir, err := syscall.Open(n.dir, syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0); err == nil {
		syscall.Unlinkat(dir, "notify")
		syscall.Close(dir)
	}
	os.Remove(n.dir)
}

// Socket returns the socket's path, for $NOTIFY_SOCKET.
func (n *Notifier) Socket() string { return filepath.Join(n.dir, "notify") }

// Listen begins to receive. Heartbeats go to k.
func (n *Notifier) Listen(k *Keeper, opts NotifyOptions) {
	if n == nil {
		return
	}
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	n.keeper, n.opts, n.relay = k, opts, newRelay(opts.Relay, opts.Log)
	go func() {
		defer close(n.done)
		n.raw.Read(func(fd uintptr) bool {
			n.receive(int(fd))
			return false // wait for more, until the socket is closed
		})
	}()
}

// Drain handles all datagrams that have come until now.
func (n *Notifier) Drain() {
	if n == nil {
		return
	}
	n.raw.Control(func(fd uintptr) { n.receive(int(fd)) })
}

// Close handles the datagrams that have come and ends the Notifier, once.
func (n *Notifier) Close() {
	if n == nil {
		return
	}
	n.closing.Do(n.close)
}

func (n *Notifier) close() {
	if n.keeper != nil {
		n.Drain()
	}
	n.conn.Close()
	if n.keeper != nil {
		<-n.done
		n.reportStatus(true)
		n.relay.close()
	}
	n.remove()
}

// longestNotice is more than a datagram may have: systemd accepts 4096 bytes.
const longestNotice = 8 << 10

// mostFiles is how many file descriptors one message can carry (SCM_MAX_FD).
const mostFiles = 253

// receive handles the datagrams that have come.
func (n *Notifier) receive(fd int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for {
		size, csize, flags, _, err := syscall.Recvmsg(fd, n.text, n.control, syscall.MSG_DONTWAIT|syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			break
		}
		sender, files := openControl(n.control[:csize])
		switch {
		case flags&syscall.MSG_TRUNC != 0:
			n.refuse("a notification of the app is longer than 8 KiB", sender)
		case sender == 0 || !n.opts.Member(sender):
			n.refuse("a notification from outside the app", sender)
		default:
			n.handle(string(n.text[:size]), time.Now())
		}
		// Closing the files is the answer to BARRIER=1; they serve no other purpose.
		for _, file := range files {
			syscall.Close(file)
		}
	}
	n.reportStatus(false)
}

// openControl returns the sender's pid, 0 if it is not known here, and the files that came.
func openControl(control []byte) (pid int, files []int) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return 0, nil
	}
	for _, m := range messages {
		if cred, err := syscall.ParseUnixCredentials(&m); err == nil {
			pid = int(cred.Pid)
		} else if fds, err := syscall.ParseUnixRights(&m); err == nil {
			files = append(files, fds...)
		}
	}
	return pid, files
}

func (n *Notifier) refuse(what string, pid int) {
	if n.refusals++; n.refusals == 1 {
		n.opts.Log.Warn(what+" is not heard; it is told once", "pid", pid)
	}
}

// handle acts on one notification: assignments of sd_notify(3), one a line.
func (n *Notifier) handle(text string, now time.Time) {
	var relay []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		name, value, _ := strings.Cut(line, "=")
		switch line {
		case "WATCHDOG=1":
			n.keeper.Heard(beat.Notify, 1, now)
		case "WATCHDOG=trigger":
			n.opts.Status("the app triggers its watchdog")
			n.keeper.Trigger(now)
		case "READY=1":
			n.opts.Status("the app is ready")
		case "STOPPING=1":
			n.opts.Status("the app is stopping")
		case "RELOADING=1":
			n.opts.Status("the app is reloading")
		}
		switch name {
		case "STATUS":
			n.status = value
		case "EXTEND_TIMEOUT_USEC":
			if us, err := strconv.ParseUint(value, 10, 64); err == nil {
				n.keeper.Hold(time.Duration(min(us, longestHold))*time.Microsecond, now)
			}
		}
		switch name {
		case "STOPPING":
			if n.opts.Last == nil || n.opts.Last() {
				relay = append(relay, line)
			}
		case "WATCHDOG":
			if n.opts.Watched {
				relay = append(relay, line)
			}
		case "READY", "STATUS", "RELOADING", "MONOTONIC_USEC", "EXTEND_TIMEOUT_USEC", "ERRNO":
			relay = append(relay, line)
		}
	}
	if len(relay) > 0 {
		n.relay.pass(strings.Join(relay, "\n"))
	}
}

// longestHold bounds one EXTEND_TIMEOUT_USEC=, in µs: a day.
const longestHold = 24 * 60 * 60 * 1_000_000

// reportStatus writes the app's STATUS= to :status, at most once a second.
func (n *Notifier) reportStatus(last bool) {
	if n.status == n.said || !last && time.Since(n.saidAt) < time.Second {
		return
	}
	n.said, n.saidAt = n.status, time.Now()
	if n.status != "" {
		n.opts.Status("the app says: " + n.status)
	}
}
