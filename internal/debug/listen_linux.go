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

// Listen finds gdbserver and begins to listen, before the app is started. Its errors are
// *process.StartErrors. The caller must call Close.
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
	// With "tcp", 0.0.0.0 and :: would mean all IPv4 and all IPv6 addresses.
	network := "tcp6"
	if ip.Is4() {
		network = "tcp4"
	}
	alive := net.ListenConfig{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         setLostTimeout,
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

// failed returns the error that debugging is impossible, with a hint.
func failed(why, hint string) error {
	return &process.StartError{ExitCode: process.ExitFailed, Msg: "debug: " + why, Hint: hint}
}

// lostTimeout is how long data sent to a client may stay unacknowledged. Keep-alive takes as
// long to detect a lost client on an idle connection.
const lostTimeout = 25 * time.Second

// setLostTimeout ends the connections of a listening socket after lostTimeout. Keep-alive
// alone does not: it pauses while data is in flight, so an unreachable client could hold the
// app at a breakpoint for a quarter of an hour.
func setLostTimeout(_, _ string, socket syscall.RawConn) (err error) {
	control := socket.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(lostTimeout.Milliseconds()))
	})
	return errors.Join(control, err)
}

// resolve returns the one address to listen on: for a name its first IPv4 address, or else
// its first address.
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
