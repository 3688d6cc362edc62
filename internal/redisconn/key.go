package redisconn

import (
	"bytes"
	"strconv"
)

// keyOf is the key of a command, as resp.AppendFrame has read it; empty if it has none.
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
