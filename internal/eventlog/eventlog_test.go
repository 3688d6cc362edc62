package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/entry"
)

func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := New(&out, "wrapp", false)
	for _, row := range []struct {
		say   func(string, ...any)
		msg   string
		pairs []any
		want  string
	}{
		{l.Info, "redis is back", nil, "wrapp: redis is back\n"},
		{l.Warn, "redis is away", []any{"error", errors.New("EOF")}, "wrapp: warning: redis is away: EOF\n"},
		{l.Error, "lost", []any{"entries", 7, "error", errors.New("EOF")}, "wrapp: error: lost entries=7: EOF\n"},
		{l.Info, "", nil, "wrapp: \n"},
		{l.Info, "a\nb\n", []any{"error", errors.Join(io.EOF, io.ErrNoProgress)}, "wrapp: a; b; : EOF; multiple Read calls return no data or error\n"},
		{l.Info, `"=`, []any{"a b", "c d", "e", ""}, "wrapp: \"= a b=c d e=\n"},
		{l.Info, "x", []any{"error", nil, "ok", true, "after", 1500 * time.Millisecond}, "wrapp: x: <nil> ok=true after=1.5s\n"},
		{l.Info, "x", []any{"a", 1, "left over"}, "wrapp: x a=1 left over=\n"},
		{l.Info, "x", []any{"a", []byte("b"), "c", struct{ s config.Secret }{canary}}, "wrapp: x a=? c=?\n"},
		{l.Debug, "note", nil, ""},
		{New(&out, "other", true).Debug, "note", []any{"pid", 1}, "other: note pid=1\n"},
	} {
		out.Reset()
		if row.say(row.msg, row.pairs...); out.String() != row.want {
			t.Errorf("%q %v: %q, want %q", row.msg, row.pairs, out.String(), row.want)
		}
	}
}

// TestSaysNothing tells a nil Logger and the zero one everything.
func TestSaysNothing(t *testing.T) {
	t.Parallel()
	for _, l := range []*Logger{nil, {}, {verbose: true}} {
		l.Debug("x", "a", 1)
		l.Info("x")
		l.Warn("x", "error", io.EOF)
		l.Error("x")
	}
}

// canary is the secret: it must not come out, however it is passed.
const canary = "c4n4ry"

func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	secret, url := config.Secret(canary), config.URL("redis://user:"+canary+"@host")
	redis := config.Redis{Password: secret, URL: url}
	type hidden struct{ s config.Secret }
	var out bytes.Buffer
	l := New(&out, "wrapp", true)
	for _, v := range []any{
		secret, &secret, url, &url, redis, &redis,
		hidden{secret},
		&hidden{secret},
		[]config.Secret{secret},
		map[string]any{"a": secret},
		[]any{url},
		fmt.Errorf("dial %v as %v", url, secret), fmt.Errorf("%+v", redis), config.URL(canary), []byte(canary), &config.Config{Redis: redis},
	} {
		for _, say := range []func(string, ...any){l.Debug, l.Info, l.Warn, l.Error} {
			say("x", "password", v)
			say("x", "error", v)
			say("x", v, v)
		}
	}
	if n := strings.Count(out.String(), "\n"); strings.Contains(out.String(), canary) || n != 16*4*3 {
		t.Errorf("%d lines:\n%s", n, &out)
	}
	out.Reset()
	l.Info("x", "password", secret, "url", url, "none", config.Secret(""))
	if want := "wrapp: x password=******** url=redis://user:********@host none=\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

// A writes keeps each Write apart. It is not safe for concurrent use.
type writes []string

func (w *writes) Write(b []byte) (int, error) {
	*w = append(*w, string(b))
	return len(b), nil
}

func TestOneWriteALine(t *testing.T) {
	t.Parallel()
	var got writes
	l := New(&got, "wrapp", false)
	var speakers sync.WaitGroup
	const speak, lines = 8, 100
	for i := range speak {
		speakers.Go(func() {
			for n := range lines {
				l.Warn("x\ny", "who", i, "n", n)
			}
		})
	}
	speakers.Wait()
	next := map[int]int{}
	for _, line := range got {
		var who, n int
		if _, err := fmt.Sscanf(line, "wrapp: warning: x; y who=%d n=%d\n", &who, &n); err != nil || n != next[who] {
			t.Fatalf("%q: %v", line, err)
		}
		next[who]++
	}
	if len(got) != speak*lines {
		t.Errorf("%d lines", len(got))
	}
}

// An oracle is a slog.Handler that shows a value as slog.Value does.
type oracle struct{ w io.Writer }

func (oracle) Enabled(context.Context, slog.Level) bool { return true }
func (o oracle) WithAttrs([]slog.Attr) slog.Handler     { return o }
func (o oracle) WithGroup(string) slog.Handler          { return o }

func (o oracle) Handle(_ context.Context, r slog.Record) error {
	line := "wrapp: " + map[slog.Level]string{slog.LevelWarn: "warning: ", slog.LevelError: "error: "}[r.Level] + r.Message
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			line += ": " + a.Value.String()
		} else {
			line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		}
		return true
	})
	_, err := io.WriteString(o.w, strings.ReplaceAll(line, "\n", "; ")+"\n")
	return err
}

// TestAsSlog has log/slog show every kind of value that is shown.
func TestAsSlog(t *testing.T) {
	t.Parallel()
	var got, want bytes.Buffer
	l, s := New(&got, "wrapp", true), slog.New(oracle{&want})
	for _, v := range []any{
		nil, "", "a", "a b", "a\nb", `"quoted"`, "\x00\xff\x1b[31m", "é", 0, -1, 1 << 62, int64(-1 << 63), true, false,
		time.Duration(0), 90 * time.Minute, -1500 * time.Microsecond, io.EOF, fmt.Errorf("a: %w", io.EOF), errors.Join(io.EOF, io.EOF), context.Canceled,
		entry.ID{Ms: 1700000000000, Seq: 3},
		config.Secret(canary), config.Secret(""), config.URL("rediss://u:" + canary + "@h/"), config.URL("redis://h"), config.Size(1 << 20),
	} {
		for _, name := range []string{"error", "a", "set aside", ""} {
			l.Debug("x", name, v, "n", 1)
			s.Debug("x", name, v, "n", 1)
			l.Info("x\n", name, v)
			s.Info("x\n", name, v)
			l.Warn("x", name, v, "error", v)
			s.Warn("x", name, v, "error", v)
			l.Error("x", name, v)
			s.Error("x", name, v)
		}
	}
	if got.String() != want.String() {
		t.Errorf("%s\nwant\n%s", &got, &want)
	}
}
