package redisconn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// deepest is how deep arrays may nest in an answer.
const deepest = 32

// appendFrame reads one command or answer of the Redis serialization protocol,
// version 2, and appends it to b as it is.
func appendFrame(b []byte, r *bufio.Reader, depth int) ([]byte, error) {
	start := len(b)
	for {
		part, err := r.ReadSlice('\n')
		b = append(b, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return b, err
		}
	}
	line := b[start:]
	if len(line) < 3 || line[len(line)-2] != '\r' || depth > deepest {
		return b, malformed(line)
	}
	switch line[0] {
	case '+', '-', ':':
		return b, nil
	case '$', '*':
	default:
		return b, malformed(line)
	}
	n, err := strconv.Atoi(string(line[1 : len(line)-2]))
	if err != nil || n < -1 {
		return b, malformed(line)
	}
	if line[0] == '$' {
		if n < 0 {
			return b, nil
		}
		return appendBytes(b, r, n+2)
	}
	for range n {
		if b, err = appendFrame(b, r, depth+1); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendBytes appends the next n bytes to b. It makes room for what has come, not
// for what is said to come.
func appendBytes(b []byte, r *bufio.Reader, n int) ([]byte, error) {
	for n > 0 {
		step := min(n, 1<<20)
		at := len(b)
		b = append(b, make([]byte, step)...)
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return b, err
		}
		n -= step
	}
	return b, nil
}

func malformed(line []byte) error {
	return fmt.Errorf("redis: %q is no part of its protocol", line[:min(len(line), 64)])
}

// keyOf is the key of a command that appendFrame has read, empty if it has none.
func keyOf(command []byte) []byte {
	args := arguments{command[bytes.IndexByte(command, '\n')+1:]}
	switch string(args.next()) {
	case "XINFO":
		args.next()
	case "XREAD":
		for {
			if arg := args.next(); arg == nil || bytes.EqualFold(arg, []byte("STREAMS")) {
				break
			}
		}
	case "PING", "INFO", "ROLE", "TIME":
		return nil
	}
	return args.next()
}

// arguments are those of a command that are left.
type arguments struct{ rest []byte }

// next is nil if there is none.
func (a *arguments) next() []byte {
	end := bytes.IndexByte(a.rest, '\n')
	if end < 2 {
		return nil
	}
	n, err := strconv.Atoi(string(a.rest[1 : end-1]))
	if err != nil || n < 0 || len(a.rest) < end+1+n+2 {
		return nil
	}
	arg := a.rest[end+1:][:n:n]
	a.rest = a.rest[end+1+n+2:]
	return arg
}
