package resp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gomodule/redigo/redis"
)

func read(in string) (any, error) { return Read(bufio.NewReader(strings.NewReader(in))) }

func TestRead(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]any{
		"+OK\r\n":                        "OK",
		"+\r\n":                          "",
		"-ERR no\r\n":                    Error("ERR no"),
		":0\r\n":                         int64(0),
		":-9223372036854775808\r\n":      int64(math.MinInt64),
		":9223372036854775807\r\n":       int64(math.MaxInt64),
		"$-1\r\n":                        nil,
		"$0\r\n\r\n":                     []byte{},
		"$5\r\na\r\nb\n\r\n":             []byte("a\r\nb\n"),
		"*-1\r\n":                        nil,
		"*0\r\n":                         []any{},
		"*2\r\n*1\r\n:1\r\n-NO\r\n":      []any{[]any{int64(1)}, Error("NO")},
		"*3\r\n$1\r\na\r\n$-1\r\n+b\r\n": []any{[]byte("a"), nil, "b"},
		strings.Repeat("*1\r\n", deepest) + ":1\r\n": func() (v any) {
			v = int64(1)
			for range deepest {
				v = []any{v}
			}
			return v
		}(),
	} {
		got, err := Read(bufio.NewReader(iotest.OneByteReader(strings.NewReader(in))))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %#v, %v, want %#v", in, got, err, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"\r\n", "OK\r\n", "+OK\n", "+\n", "\n", "$\r\n", "*\r\n", ":\r\n", ":a\r\n", ":1.5\r\n", ":9223372036854775808\r\n",
		"$a\r\n", "$-2\r\n", "$-0\r\n", "$-01\r\n", "*-2\r\n", "$1\r\nab\r\n", "$1\r\na\n\n\n",
		"$99999999999999999999x\r\n",
		strings.Repeat("*1\r\n", deepest+1) + ":1\r\n",
		"+" + strings.Repeat("x", 5000) + "\r\n",
		"%1\r\n", "_\r\n", "#t\r\n",
	} {
		if got, err := read(in); err == nil || !strings.Contains(err.Error(), "is no part of its protocol") {
			t.Errorf("%.40q: %#v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"$9223372036854775807\r\n", "$1073741824\r\n", "*16777216\r\n", "*9223372036854775807\r\n", "$99999999999999999999\r\n",
	} {
		if got, err := read(in); !errors.Is(err, errTooLarge) {
			t.Errorf("%.40q: %#v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "+OK", "+OK\r", "$3\r\nab", "$3\r\nabc", "*2\r\n:1\r\n", "$1000000000\r\nx", "*10000000\r\n:1\r\n"} {
		if got, err := read(in); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %#v, %v", in, got, err)
		}
	}
}

// An endless server says the same for ever, behind a head.
type endless struct {
	head, text string
	at         int
}

func (e *endless) Read(b []byte) (n int, err error) {
	n = copy(b, e.head)
	e.head = e.head[n:]
	for n < len(b) && e.head == "" {
		some := copy(b[n:], e.text[e.at:])
		n, e.at = n+some, (e.at+some)%len(e.text)
	}
	return n, nil
}

// TestBounds has servers announce what they do not send, and send without end.
func TestBounds(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		for _, in := range []string{"$1000000000\r\nx", "*16000000\r\n:1\r\n", strings.Repeat("*1000000\r\n", 20)} {
			if _, err := read(in); err == nil {
				t.Error(in)
			}
		}
	}
	runtime.ReadMemStats(&after)
	// A bulk string has room for one step, made twice by the race detector, and all have a
	// buffer.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100*3*step+300*(8<<10) {
		t.Errorf("%d bytes", grown)
	}
	const few = 1 << 20
	for _, e := range []endless{
		{text: "*1\r\n"},
		{text: "x"},
		{head: "+", text: "x"},
		{text: "*16\r\n"},
		{head: "*16000\r\n", text: "*0\r\n"},
		{head: "*1000\r\n", text: "+" + strings.Repeat("x", 4000) + "\r\n"},
		{head: "*1000\r\n", text: "*1000\r\n" + strings.Repeat(":1\r\n", 1000)},
		{head: "*1000\r\n", text: "$10000\r\n" + strings.Repeat("x", 10000) + "\r\n"},
	} {
		what := e.head + e.text[:min(len(e.text), 20)]
		f := frame{bufio.NewReader(&e), nil, math.MaxInt, few}
		if err := f.read(0); err == nil && what != "*16000\r\n*0\r\n" {
			t.Errorf("%q ended", what)
		}
		if len(f.b) > few {
			t.Errorf("%q: %d bytes", what, len(f.b))
		}
	}
}

// TestKeep leaves out what is long.
func TestKeep(t *testing.T) {
	t.Parallel()
	in := "*3\r\n$3\r\nabc\r\n*1\r\n$4\r\nabcd\r\n$2\r\nab\r\n+next\r\n"
	r := bufio.NewReader(strings.NewReader(in))
	got, err := AppendFrame([]byte("x"), r, 3)
	if want := "x*3\r\n$3\r\nabc\r\n*1\r\n$-1\r\n$2\r\nab\r\n"; string(got) != want || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if next, err := Read(r); next != "next" || err != nil {
		t.Errorf("%v, %v", next, err)
	}
	if got, err := AppendFrame(nil, bufio.NewReader(strings.NewReader("$4\r\nabcdef\r\n")), 3); err == nil {
		t.Errorf("%q", got)
	}
}

func TestAppendCommand(t *testing.T) {
	t.Parallel()
	got := AppendCommand([]byte("x"), "SET", "kéy", "", 0, -7, int64(math.MinInt64))
	if want := "x*6\r\n$3\r\nSET\r\n$4\r\nkéy\r\n$0\r\n\r\n$1\r\n0\r\n$2\r\n-7\r\n$20\r\n-9223372036854775808\r\n"; string(got) != want {
		t.Errorf("%q", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("a float is an argument")
		}
	}()
	AppendCommand(nil, "SET", 1.5)
}

func TestValues(t *testing.T) {
	t.Parallel()
	failed := errors.New("failed")
	list := []any{"a", int64(1), []byte("b"), []byte("2"), "odd"}
	for i, tt := range []struct {
		got  any
		err  error
		want any
		why  error
	}{
		row(String("a", nil))("a", nil),
		row(String([]byte("a"), nil))("a", nil),
		row(String(nil, nil))("", ErrNil),
		row(String("a", failed))("", failed),
		row(String(Error("NO"), nil))("", Error("NO")),
		row(String(int64(1), nil))("", errOther),
		row(Int(int64(-1), nil))(-1, nil),
		row(Int([]byte("12"), nil))(12, nil),
		row(Int("1.5", nil))(0, strconv.ErrSyntax),
		row(Int(int64(1), failed))(0, failed),
		row(Int([]any{}, nil))(0, errOther),
		row(Values(list, nil))(list, nil),
		row(Values(list, failed))([]any(nil), failed),
		row(Values(nil, nil))([]any(nil), ErrNil),
		row(Values("a", nil))([]any(nil), errOther),
		row(Fields([]any{[]byte("a"), nil}, nil))([][]byte{[]byte("a"), nil}, nil),
		row(Fields([]any{int64(1)}, nil))([][]byte(nil), errOther),
		row(Fields(nil, nil))([][]byte(nil), ErrNil),
		row(Field(list, "a"), nil)(int64(1), nil),
		row(Field(list, "b"), nil)([]byte("2"), nil),
		row(Field(list, "odd"), nil)(nil, nil),
		row(Field(nil, "a"), nil)(nil, nil),
	} {
		if !reflect.DeepEqual(tt.got, tt.want) || !errors.Is(tt.err, tt.why) {
			t.Errorf("%d: %#v, %v, want %#v, %v", i, tt.got, tt.err, tt.want, tt.why)
		}
	}
}

type result = struct {
	got  any
	err  error
	want any
	why  error
}

func row[T any](got T, err error) func(want any, why error) result {
	return func(want any, why error) result { return result{got, err, want, why} }
}

// replay is a connection on which a server has said something already.
type replay struct{ io.Reader }

func (replay) Write(b []byte) (int, error)      { return len(b), nil }
func (replay) Close() error                     { return nil }
func (replay) LocalAddr() net.Addr              { return nil }
func (replay) RemoteAddr() net.Addr             { return nil }
func (replay) SetDeadline(time.Time) error      { return nil }
func (replay) SetReadDeadline(time.Time) error  { return nil }
func (replay) SetWriteDeadline(time.Time) error { return nil }

// ours is a value of redigo's with errors of ours, for comparison.
func ours(v any) any {
	switch v := v.(type) {
	case redis.Error:
		return Error(v)
	case []any:
		for i := range v {
			v[i] = ours(v[i])
		}
	}
	return v
}

// FuzzRead compares with redigo what it reads: every answer in turn. What it refuses redigo
// may take: any number of digits, and arrays as deep as it is told.
func FuzzRead(f *testing.F) {
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			return
		}
		r := bufio.NewReader(bytes.NewReader(in))
		var answers []any
		for {
			v, err := Read(r)
			if err != nil {
				break
			}
			answers = append(answers, v)
		}
		// What was taken is well formed, and a frame of it comes out as it went in.
		again := bufio.NewReader(bytes.NewReader(in))
		var frames []byte
		for i := range answers {
			at := len(frames)
			var err error
			if frames, err = AppendFrame(frames, again, math.MaxInt); err != nil {
				t.Fatal(err)
			}
			if v := Parse(frames[at:]); !reflect.DeepEqual(v, answers[i]) {
				t.Fatalf("%#v, and %#v", v, answers[i])
			}
		}
		if !bytes.HasPrefix(in, frames) {
			t.Fatalf("%q became %q", in, frames)
		}
		// What is short may be kept alone.
		short := bufio.NewReader(bytes.NewReader(in))
		for range answers {
			if _, err := AppendFrame(nil, short, 3); err != nil {
				t.Fatal(err)
			}
		}
		theirs := redis.NewConn(replay{bytes.NewReader(in[:len(frames)])}, 0, 0)
		for i, v := range answers {
			want, err := theirs.Receive()
			if e, ok := v.(Error); ok {
				if err == nil || err.Error() != string(e) {
					t.Fatalf("%d: %q, want %v", i, e, err)
				}
				continue
			}
			if err != nil && strings.Contains(err.Error(), "illegal bytes in length") && bytes.Contains(in, []byte(":+")) {
				return // it takes no + before a number, which the protocol allows
			}
			if err != nil || !reflect.DeepEqual(v, ours(want)) {
				t.Fatalf("%d: %#v, want %#v, %v", i, v, ours(want), err)
			}
		}
	})
}

// TestSeeds fails if the committed seeds of the fuzz target are gone.
func TestSeeds(t *testing.T) {
	t.Parallel()
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzRead"); err != nil || len(seeds) < 8 {
		t.Errorf("%d seeds, %v", len(seeds), err)
	}
}
