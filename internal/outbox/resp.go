package outbox

import (
	"bufio"
	"errors"
	"io"
	"math/bits"
	"net"
	"strconv"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/resp"
	"github.com/lpportorino/jettison-base-images/internal/sysio"
)

// This is what package resp does, for one kind of command and without making anything
// that is thrown away. It is compiled with inlining, which that is not.

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
		e.prefix[s] = resp.AppendCommand(nil, "XADD", key, "MAXLEN", "~", maxEntries)[len("*5\r\n"):]
		e.looks[s] = resp.AppendCommand(nil, "XINFO", "STREAM", key)
	}
	for f := range e.suffix {
		for _, arg := range entry.Flags(f).Fields() {
			e.suffix[f] = resp.AppendBulk(e.suffix[f], arg)
		}
	}
	return e
}

// prefixArgs is the number of arguments in a prefix, the ID and `message` with
// its value.
const prefixArgs = 5 + 1 + 2

// flagArgs is the number of arguments that the fields of flags make.
func flagArgs(flags entry.Flags) int { return 2 * bits.OnesCount8(uint8(flags)) }

// directBytes is the size from which on a message is not copied among the commands, in
// bytes: copying 64 KiB costs more than the socket's call for it, 1 KiB less.
const directBytes = 16 << 10

// commands are encoded, for one write.
type commands struct {
	buf   []byte
	large []large
	texts [][]byte // of one write; kept for its room
}

// A large message has its place behind buf[:at]. Its bytes are the queue's, which keeps
// them until the command is answered.
type large struct {
	at      int
	message []byte
}

// write writes the commands to a connection, and forgets them.
func (c *commands) write(conn net.Conn) (err error) {
	switch {
	case len(c.large) > 0:
		from := 0
		for _, l := range c.large {
			c.texts = append(c.texts, c.buf[from:l.at], l.message)
			from = l.at
		}
		err = sysio.WriteAll(conn, append(c.texts, c.buf[from:]))
		clear(c.texts)
		clear(c.large)
	case len(c.buf) > 0:
		_, err = conn.Write(c.buf)
	}
	c.buf, c.large, c.texts = c.buf[:0], c.large[:0], c.texts[:0]
	return err
}

// add adds the command that adds r.
func (e *encoder) add(c *commands, r record) {
	flags, extra, message := r.Flags(), r.Extra(), r.Message()
	b := appendHeader(c.buf, '*', prefixArgs+flagArgs(flags)+2*extra)
	b = append(b, e.prefix[r.Stream()]...)
	b = e.appendID(b, r.ID())
	b = append(b, "$7\r\nmessage\r\n"...)
	b = appendHeader(b, '$', len(message))
	if len(message) < directBytes {
		b = append(b, message...)
	} else {
		c.large = append(c.large, large{len(b), message})
	}
	b = append(b, "\r\n"...)
	b = append(b, e.suffix[flags]...)
	if extra > 0 {
		for _, f := range r.Fields()[flagArgs(flags):] {
			b = resp.AppendBulk(b, f)
		}
	}
	c.buf = b
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

// Read is what the buffered reader reads from. The end is not expected.
func (p *replies) Read(b []byte) (int, error) {
	if err := p.conn.SetReadDeadline(time.Now().Add(p.timeout)); err != nil {
		return 0, err
	}
	n, err := p.conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// next reads one reply. refusal is the text of an error reply, empty if the
// entry was taken; err is the connection's end.
func (p *replies) next() (refusal string, err error) {
	line, err := resp.Line(p.r)
	if err != nil {
		return "", err
	}
	switch line[0] {
	case '$':
		if n, err := strconv.Atoi(string(line[1:])); err == nil && n >= 0 && n <= longest {
			_, err = p.r.Discard(n + 2)
			return "", err
		}
	case '-':
		return string(line[1:]), nil
	}
	return "", resp.Malformed(line)
}

// longest is how many bytes what we want to know has at most.
const longest = 64

// info reads the reply to XINFO STREAM. The entries in it, which may be large, are left
// out.
func (p *replies) info() (last entry.ID, length int, refusal string, err error) {
	b, err := resp.AppendFrame(nil, p.r, longest)
	if err != nil {
		return last, 0, "", err
	}
	answer := resp.Parse(b)
	if e, ok := answer.(resp.Error); ok {
		return last, 0, string(e), nil
	}
	last, length, err = streamInfo(answer, nil)
	return last, length, "", err
}
