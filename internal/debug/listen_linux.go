package debug

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lpportorino/jettison-base-images/internal/process"
)

// Listen finds gdbserver and begins to listen, before the app is started. Its
// errors are *process.StartErrors. Close ends it.
func Listen(opts Options) (*Debugger, error) {
	opts.Log = cmp.Or(opts.Log, slog.New(slog.DiscardHandler))
	gdbserver, err := exec.LookPath("gdbserver")
	if err != nil {
		return nil, failed("gdbserver is not on PATH", "install it in the image: apt-get install gdbserver")
	}
	d := &Debugger{opts: opts, gdbserver: gdbserver, silent: make(map[net.Conn]bool)}
	ip, err := resolve(opts.Host)
	if err != nil {
		return nil, failed(err.Error(), "see debug.host")
	}
	// "tcp" would make every IPv4 and IPv6 address of a 0.0.0.0 or a ::.
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	alive := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         giveUp,
	}
	address := net.JoinHostPort(ip.String(), strconv.Itoa(opts.Port))
	d.listener, err = alive.Listen(context.Background(), network, address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, failed(address+" is in use", "choose another debug.port, or end what has it (ss -ltnp)")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, failed(ip.String()+" is no address of this machine or container", "see debug.host")
	case errors.Is(err, syscall.EACCES):
		return nil, failed("may not listen on "+address, "choose a debug.port from 1024 up")
	case err != nil:
		return nil, failed(err.Error(), "see debug.host and debug.port")
	}
	if !ip.IsLoopback() {
		d.exposed = exposed(address, opts.Port)
	}
	return d, nil
}

// failed is why there is no debugging, and what to do.
func failed(why, hint string) error {
	return &process.StartError{ExitCode: process.ExitFailed, Msg: "debug: " + why, Hint: hint}
}

// lostTimeout is how long what a client was sent may stay unacknowledged; keep-alive
// takes as long to find a client lost that is sent nothing.
const lostTimeout = 25 * time.Second

// giveUp has the connections of a socket that listens end after lostTimeout. Keep-alive
// alone does not see to that: it waits while something is on its way, and the app could
// be held at a breakpoint for a quarter of an hour, for a client that is out of reach.
func giveUp(_, _ string, socket syscall.RawConn) (err error) {
	control := socket.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(lostTimeout.Milliseconds()))
	})
	return errors.Join(control, err)
}

// resolve is the one address to listen on: for a name the first of its IPv4
// addresses, if it has any.
func resolve(host string) (netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap(), nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return netip.Addr{}, err
	}
	for _, f := range found {
		if ip, ok := netip.AddrFromSlice(f.IP.To4()); ok {
			return ip, nil
		}
	}
	ip, _ := netip.AddrFromSlice(found[0].IP)
	return ip.WithZone(found[0].Zone), nil
}
