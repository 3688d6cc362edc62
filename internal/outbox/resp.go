package outbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// The Redis serialization protocol, as far as one kind of command needs it:
// https://redis.io/docs/latest/develop/reference/protocol-spec/

// An encoder writes records as XADD commands.
type encoder struct {
	// prefix[stream] is `XADD key MAXLEN ~ n` without the array header.
	prefix [entry.Streams][]byte
	// looks[stream] is XINFO STREAM key.
	looks [entry.Streams][]byte
	// suffix[flags] are the fields that the flags stand for.
	suffix [entry.FlagSets][]byte
	ms     uint64 // whose digits are in msText
	msText []byte
}

func newEncoder(keys [entry.Streams]string, maxEntries int) *encoder {
	e := new(encoder)
	for s, key := range keys {
		for _, arg := range []string{"XADD", key, "MAXLEN", "~", strconv.Itoa(maxEntries)} {
			e.prefix[s] = appendBulk(e.prefix[s], arg)
		}
		e.looks[s] = appendHeader(nil, '*', 3)
		for _, arg := range []string{"XINFO", "STREAM", key} {
			e.looks[s] = appendBulk(e.looks[s], arg)
		}
	}
	for f := range e.suffix {
		for _, arg := range entry.Flags(f).Fields() {
			e.suffix[f] = appendBulk(e.suffix[f], arg)
		}
	}
	return e
}

// prefixArgs is the number of arguments in a prefix, the ID and `message` with
// its value.
const prefixArgs = 5 + 1 + 2

// flagArgs is the number of arguments that the fields of flags make.
func flagArgs(flags entry.Flags) int { return 2 * bits.OnesCount8(uint8(flags)) }

// append appends the command that adds r.
func (e *encoder) append(b []byte, r record) []byte {
	flags, extra := r.Flags(), r.Extra()
	b = appendHeader(b, '*', prefixArgs+flagArgs(flags)+2*extra)
	b = append(b, e.prefix[r.Stream()]...)
	b = e.appendID(b, r.ID())
	b = append(b, "$7\r\nmessage\r\n"...)
	b = appendBulk(b, r.Message())
	b = append(b, e.suffix[flags]...)
	if extra > 0 {
		for _, f := range r.Fields()[flagArgs(flags):] {
			b = appendBulk(b, f)
		}
	}
	return b
}

// appendLook appends the command that looks at a stream.
func (e *encoder) appendLook(b []byte, stream entry.Stream) []byte {
	return append(b, e.looks[stream]...)
}

// appendID appends an ID; entries that follow each other mostly share their
// millisecond.
func (e *encoder) appendID(b []byte, id entry.ID) []byte {
	if id.Ms != e.ms || e.msText == nil {
		e.ms, e.msText = id.Ms, strconv.AppendUint(e.msText[:0], id.Ms, 10)
	}
	digits := 1
	for n := id.Seq; n >= 10; n /= 10 {
		digits++
	}
	b = appendHeader(b, '$', len(e.msText)+1+digits)
	b = append(b, e.msText...)
	b = append(b, '-')
	b = strconv.AppendUint(b, id.Seq, 10)
	return append(b, "\r\n"...)
}

func appendBulk[T string | []byte](b []byte, arg T) []byte {
	b = appendHeader(b, '$', len(arg))
	b = append(b, arg...)
	return append(b, "\r\n"...)
}

func appendHeader(b []byte, kind byte, n int) []byte {
	b = append(b, kind)
	b = strconv.AppendUint(b, uint64(n), 10)
	return append(b, "\r\n"...)
}

// replies reads the answers to XADD commands off a connection, within timeout
// for each read.
type replies struct {
	conn    net.Conn
	timeout time.Duration
	r       *bufio.Reader
}

func newReplies(conn net.Conn, timeout time.Duration) *replies {
	p := &replies{conn: conn, timeout: timeout}
	p.r = bufio.NewReaderSize(p, 32<<10)
	return p
}

// Read is what the buffered reader reads from.
func (p *replies) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	return p.conn.Read(b)
}

// next reads one reply. refusal is the text of an error reply, empty if the
// entry was taken; err is the connection's end.
func (p *replies) next() (refusal string, err error) {
	line, err := p.line()
	if err != nil {
		return "", err
	}
	switch line[0] {
	case '$':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < 0 || n > 64 {
			return "", fmt.Errorf("read from redis: no reply to XADD: %q", line)
		}
		_, err = p.r.Discard(n + 2)
		return "", err
	case '-':
		return string(line[1:]), nil
	}
	return "", fmt.Errorf("read from redis: no reply to XADD: %q", line)
}

// info reads the reply to XINFO STREAM.
func (p *replies) info() (last entry.ID, length int, refusal string, err error) {
	line, err := p.line()
	if err != nil {
		return last, 0, "", err
	}
	if line[0] == '-' {
		return last, 0, string(line[1:]), nil
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || line[0] != '*' {
		return last, 0, "", fmt.Errorf("read from redis: no reply to XINFO: %q", line)
	}
	name := ""
	for range n {
		text, err := p.value(0)
		if err != nil {
			return last, 0, "", err
		}
		switch name {
		case "last-generated-id":
			last, err = entry.ParseID(text)
		case "length":
			length, err = strconv.Atoi(text)
		}
		if err != nil {
			return last, 0, "", err
		}
		name = text
	}
	return last, length, "", nil
}

// value reads a reply of any kind. It returns the text of a short one.
func (p *replies) value(depth int) (string, error) {
	line, err := p.line()
	if err != nil {
		return "", err
	}
	if depth > 8 {
		return "", fmt.Errorf("read from redis: no reply: %q", line)
	}
	switch line[0] {
	case '$':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil || n < -1 {
			return "", fmt.Errorf("read from redis: no reply: %q", line)
		}
		if n < 0 {
			return "", nil
		}
		if n > 64 {
			_, err = p.r.Discard(n + 2)
			return "", err
		}
		text := make([]byte, n+2)
		_, err = io.ReadFull(p.r, text)
		return string(text[:n]), err
	case ':':
		return string(line[1:]), nil
	case '*':
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return "", fmt.Errorf("read from redis: no reply: %q", line)
		}
		for range n {
			if _, err := p.value(depth + 1); err != nil {
				return "", err
			}
		}
	}
	return "", nil
}

func (p *replies) line() ([]byte, error) {
	line, err := p.r.ReadSlice('\n')
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("read from redis: no reply: %q", line)
	}
	return line[:len(line)-2], nil
}
