package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
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
		{l.Warn, "gap", []any{"stream", "logs:app:\x1b[2J\u009bx\ty\x7f:info"}, "wrapp: warning: gap stream=logs:app:?[2J?x\ty?:info\n"},
		{l.Info, `"=`, []any{"a b", "c d", "e", ""}, "wrapp: \"= a b=c d e=\n"},
		{l.Info, "x", []any{"at", slog.LevelWarn, "n", uint8(3), "f", 0.5}, "wrapp: x at=WARN n=3 f=0.5\n"},
		{l.Info, "x", []any{"error", nil, "ok", true, "after", 1500 * time.Millisecond}, "wrapp: x: <nil> ok=true after=1.5s\n"},
		{l.Info, "x", []any{"a", 1, "left over"}, "wrapp: x a=1 !BADKEY=left over\n"},
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

// TestGroups: attributes of With and WithGroup are in every line, after their group's name.
func TestGroups(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := New(&out, "wrapp", false)
	pool := slog.Group("pool", "name", "api", slog.Group("", "cap", 5), slog.Attr{}, slog.Group("empty"))
	for _, row := range []struct {
		log  *slog.Logger
		want string
	}{
		{l.With("a", 1, "error", io.EOF), "wrapp: x a=1: EOF n=2\n"},
		{l.With("a", 1).WithGroup("g").With("b", 2).WithGroup(""), "wrapp: x a=1 g.b=2 g.n=2\n"},
		{l.WithGroup("g").WithGroup("h").With(pool), "wrapp: x g.h.pool.name=api g.h.pool.cap=5 g.h.n=2\n"},
		{l, "wrapp: x n=2\n"},
	} {
		out.Reset()
		if row.log.Info("x", "n", 2); out.String() != row.want {
			t.Errorf("%q, want %q", out.String(), row.want)
		}
	}
}

// canary is the secret: no way to pass it to the Logger may print it.
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
			say("x", slog.Any("group", slog.GroupValue(slog.Any("password", v))))
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
