// Package resp is the Redis serialization protocol, version 2:
// https://redis.io/docs/latest/develop/reference/protocol-spec/
//
// What a server may make us hold is bounded. A line, which is anything but the bytes of a
// bulk string, is no longer than the buffer that it is read through. Arrays nest 32 deep.
// One answer takes 1 GiB at most, counting 64 bytes for each value in it beside its own; and
// room is made for what has come and as much again, or 1 MiB, not for what is announced.
package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

const (
	deepest   = 32
	most      = 1 << 30
	valueCost = 64
	step      = 1 << 20 // bytes, see bulk
)

// An Error is an error reply, without the `-` in front. It may stand within an array.
type Error string

func (e Error) Error() string { return string(e) }

// Line reads a line: a first byte that says of what kind it is, and what follows. Its end,
// "\r\n", is behind it, within its capacity. It holds until the next read.
func Line(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return nil, err
	}
	if len(line) < 3 || err != nil || line[len(line)-2] != '\r' {
		return nil, Malformed(line)
	}
	return line[:len(line)-2], nil
}

var errTooLarge = errors.New("redis: one answer takes more than 1 GiB")

// Malformed is the error of a line that should not be there.
func Malformed(line []byte) error {
	return fmt.Errorf("redis: %q is no part of its protocol here", line[:min(len(line), 64)])
}

// AppendFrame reads one command or answer and appends it to b as it is, but for bulk
// strings of more than keep bytes: nil stands in their place. With an error b has part of it.
func AppendFrame(b []byte, r *bufio.Reader, keep int) ([]byte, error) {
	f := frame{r, b, keep, most}
	err := f.read(0)
	return f.b, err
}

type frame struct {
	r    *bufio.Reader
	b    []byte
	keep int
	left int // of most
}

func (f *frame) read(depth int) error {
	line, err := Line(f.r)
	if err != nil {
		return err
	}
	kind, n, each := line[0], 0, 1
	switch kind {
	case '+', '-':
	case ':':
		_, err = strconv.Atoi(string(line[1:]))
	case '*':
		n, each = announced(line[1:]), valueCost
	case '$':
		n = announced(line[1:])
	default:
		err = strconv.ErrSyntax
	}
	f.left -= valueCost + len(line)
	if err != nil || n < -1 || depth > deepest {
		return Malformed(line)
	}
	if f.left < 0 || n > f.left/each {
		return errTooLarge
	}
	if kind == '$' && n > f.keep {
		f.b = append(f.b, "$-1\r\n"...)
	} else {
		f.b = append(f.b, line[:len(line)+len("\r\n")]...)
	}
	if kind == '$' && n >= 0 {
		return f.bulk(n)
	}
	for range n {
		if err := f.read(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// announced is the length that digits say, -1 for nil, -2 if they say none. What is more
// than most may be less than they say.
func announced(digits []byte) (n int) {
	if string(digits) == "-1" {
		return -1
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return -2
		}
		if n <= most {
			n = 10*n + int(c-'0')
		}
	}
	if len(digits) == 0 {
		return -2
	}
	return n
}

// bulk reads the n bytes of a bulk string and the line's end behind them. It makes room for
// a step more than has come, or for as much again.
func (f *frame) bulk(n int) error {
	f.left -= n
	keep := n <= f.keep
	if !keep {
		if _, err := f.r.Discard(n); err != nil {
			return err
		}
		n = 0
	}
	start := len(f.b)
	for n += len("\r\n"); n > 0; {
		at := len(f.b)
		some := min(n, max(step, at))
		f.b = append(f.b, make([]byte, some)...)
		if _, err := io.ReadFull(f.r, f.b[at:]); err != nil {
			return err
		}
		n -= some
	}
	if end := f.b[len(f.b)-2:]; string(end) != "\r\n" {
		return Malformed(end)
	}
	if !keep {
		f.b = f.b[:start]
	}
	return nil
}

// Read reads an answer: nil, an int64, a string that is a simple one, []byte, an Error, or
// []any of these.
func Read(r *bufio.Reader) (any, error) {
	b, err := AppendFrame(nil, r, math.MaxInt)
	if err != nil {
		return nil, err
	}
	return Parse(b), nil
}

// Parse returns the value of a frame that AppendFrame has read. Its bytes are those of the
// frame.
func Parse(frame []byte) any {
	v, _ := parse(frame)
	return v
}

func parse(b []byte) (v any, rest []byte) {
	end := bytes.IndexByte(b, '\n')
	line := b[1 : end-1]
	rest = b[end+1:]
	switch b[0] {
	case '+':
		return string(line), rest
	case '-':
		return Error(line), rest
	}
	n, _ := strconv.Atoi(string(line))
	switch {
	case b[0] == ':':
		return int64(n), rest
	case n < 0:
		return nil, rest
	case b[0] == '$':
		return rest[:n:n], rest[n+2:]
	}
	list := make([]any, n)
	for i := range list {
		list[i], rest = parse(rest)
	}
	return list, rest
}

// AppendCommand appends a command. An argument is a string, an int or an int64.
func AppendCommand(b []byte, name string, args ...any) []byte {
	b = appendHeader(b, '*', 1+len(args))
	b = AppendBulk(b, name)
	for _, arg := range args {
		switch arg := arg.(type) {
		case string:
			b = AppendBulk(b, arg)
		case int:
			b = AppendBulk(b, strconv.Itoa(arg))
		case int64:
			b = AppendBulk(b, strconv.FormatInt(arg, 10))
		default:
			panic(fmt.Sprintf("resp: an argument of %s is a %T", name, arg))
		}
	}
	return b
}

// AppendBulk appends a bulk string.
func AppendBulk(b []byte, arg string) []byte {
	b = appendHeader(b, '$', len(arg))
	b = append(b, arg...)
	return append(b, "\r\n"...)
}

func appendHeader(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendInt(b, int64(n), 10)
	return append(b, "\r\n"...)
}
