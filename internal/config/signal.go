package config

import (
	"errors"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Signal is a signal's number. It is written as "SIGTERM", "TERM", "SIGRTMIN+3" or the number.
type Signal syscall.Signal

// rtMin and rtMax bound the real-time signals, as in `kill -l`: the C library uses 32 and 33
// itself.
const (
	rtMin Signal = 34
	rtMax Signal = 64
)

// String returns the name with its SIG, or the number if it has no name.
func (s Signal) String() string {
	if name := unix.SignalName(syscall.Signal(s)); name != "" {
		return name
	}
	switch {
	case s == rtMin:
		return "SIGRTMIN"
	case s > rtMin && s <= rtMax:
		return "SIGRTMIN+" + strconv.Itoa(int(s-rtMin))
	}
	return strconv.Itoa(int(s))
}

// MarshalText is String. There is no error.
func (s Signal) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name, with or without SIG, in capital or small letters,
// or a number from 1 to 64.
func (s *Signal) UnmarshalText(text []byte) error {
	v := parseSignal(strings.ToUpper(string(text)))
	if v < 1 || v > rtMax {
		return errors.New(`must be a signal, such as "SIGTERM", "SIGRTMIN+3" or a number from 1 to 64` + insteadOf(string(text)))
	}
	*s = v
	return nil
}

// parseSignal returns 0 if name is no signal.
func parseSignal(name string) Signal {
	if n, err := strconv.ParseUint(name, 10, 8); err == nil {
		return Signal(n)
	}
	name = "SIG" + strings.TrimPrefix(name, "SIG")
	if n := unix.SignalNum(name); n != 0 {
		return Signal(n)
	}
	if name == "SIGRTMIN" {
		return rtMin
	}
	if name == "SIGRTMAX" {
		return rtMax
	}
	span := uint64(rtMax - rtMin)
	if offset, ok := strings.CutPrefix(name, "SIGRTMIN+"); ok {
		if n, err := strconv.ParseUint(offset, 10, 8); err == nil && n <= span {
			return rtMin + Signal(n)
		}
	}
	if offset, ok := strings.CutPrefix(name, "SIGRTMAX-"); ok {
		if n, err := strconv.ParseUint(offset, 10, 8); err == nil && n <= span {
			return rtMax - Signal(n)
		}
	}
	return 0
}
