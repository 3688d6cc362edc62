package debug

import (
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// howTo returns the lines that explain how to connect.
func (d *Debugger) howTo() []string {
	address := d.listener.Addr().(*net.TCPAddr).AddrPort()
	here, port := dialled(address).String(), strconv.Itoa(d.opts.Port)
	return []string{
		"paused before its first instruction; a debugger can connect to " + address.String(),
		"gdb: gdb " + quote(d.cmd.Path) + " -ex 'target remote " + here + "'",
		"CLion: a Remote Debug configuration with 'target remote' args " + here,
		"from another machine: ssh -N -L " + port + ":" + here + " USER@HOST, and then 127.0.0.1:" + port,
		"without a debugger: kill -CONT " + strconv.Itoa(d.app.PID()) + " lets it run",
	}
}

// exposed returns the warning about an address that other machines can reach.
func exposed(address string, port int) string {
	p := strconv.Itoa(port)
	return "debug.host is not the loopback address: every client that reaches " + address + " commands the app, without a password; better leave debug.host at 127.0.0.1 and tunnel: ssh -N -L " +
		p + ":127.0.0.1:" + p + " USER@HOST"
}

// lostRights returns the warning about a program that does not get its file's extra rights.
func lostRights(path string) string {
	return filepath.Base(path) + " has more rights than its user because of its file (setuid or setcap), and the kernel does not grant them to an app that is started for a debugger"
}

// dialled returns the address for a client on this machine: loopback if we listen on all
// addresses.
func dialled(address netip.AddrPort) netip.AddrPort {
	ip := address.Addr()
	switch ip {
	case netip.IPv4Unspecified():
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		ip = netip.IPv6Loopback()
	}
	return netip.AddrPortFrom(ip, address.Port())
}

// quote quotes a word for a shell if needed.
func quote(word string) string {
	for _, r := range word {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '/', r == '.', r == '_', r == '-', r == '+':
		default:
			return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
		}
	}
	return word
}
