package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// A reader reads streams whose lines begin with the time of their write. It parses answers
// itself: a client library's work for each entry would distort the measurement.
type reader struct {
	conn net.Conn
	r    *bufio.Reader
	text []byte // of the last bulk string

	number  int       // of the last timed line, which its app counts from 0
	arrived time.Time // when that line came
}

func newReader(addr string) (*reader, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	r := &reader{conn: conn, r: bufio.NewReaderSize(conn, 256<<10)}
	if err := r.do(func(int, []byte) {}, "SELECT", "1"); err != nil {
		conn.Close()
		return nil, err
	}
	return r, nil
}

func (r *reader) close() { r.conn.Close() }

// do executes a command, and calls each with every bulk string of the answer and its depth in
// nested arrays.
func (r *reader) do(each func(depth int, text []byte), args ...string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(r.conn, b.String()); err != nil {
		return err
	}
	return r.answer(0, each)
}

func (r *reader) answer(depth int, each func(depth int, text []byte)) error {
	line, err := r.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	kind, rest := line[0], bytes.TrimSpace(line[1:])
	if kind == '-' {
		return fmt.Errorf("redis: %s", rest)
	}
	if kind != '*' && kind != '$' {
		return nil
	}
	n, err := strconv.Atoi(string(rest))
	if err != nil {
		return err
	}
	if kind == '$' && n >= 0 {
		if cap(r.text) < n+2 {
			r.text = make([]byte, n+2)
		}
		if _, err := io.ReadFull(r.r, r.text[:n+2]); err != nil {
			return err
		}
		each(depth, r.text[:n])
		return nil
	}
	for ; kind == '*' && n > 0; n-- {
		if err := r.answer(depth+1, each); err != nil {
			return err
		}
	}
	return nil
}

// next waits with XREAD for at most count entries after an ID. It appends the ages of their
// lines, at the arrival of the answer's first bytes, and returns the last entry's ID.
func (r *reader) next(ages []time.Duration, key, after string, count int) ([]time.Duration, string, error) {
	var now time.Time
	before := len(ages)
	last := after
	err := r.do(func(depth int, text []byte) {
		switch {
		case depth == 2: // the stream's name
			now = time.Now()
		case depth == 4: // an entry's ID
			last = string(text)
		case len(text) == lineBytes: // else a field's name, or a marker of a run
			if ns, err := strconv.ParseInt(string(text[:19]), 10, 64); err == nil {
				ages = append(ages, now.Sub(time.Unix(0, ns)))
				r.arrived = now
				r.number, _ = strconv.Atoi(string(text[20:]))
			}
		}
	}, "XREAD", "COUNT", strconv.Itoa(count), "BLOCK", "10000", "STREAMS", key, after)
	if err == nil && last == after && len(ages) == before && after != "$" {
		err = fmt.Errorf("%s has got no entry in 10 s", key)
	}
	return ages, last, err
}
