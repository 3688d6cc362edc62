package redisconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestAbort aborts a command that waits for its answer, with and without TLS.
func TestAbort(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	secure := redistest.StartTLS(t, a, false, tomorrow, "127.0.0.1").Config().Redis
	secure.TLS = &config.TLS{CAFile: a.File}
	for name, r := range map[string]*config.Redis{"plain": &redistest.Start(t).Config().Redis, "TLS": &secure} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r.ConnectTimeout = config.Duration(2 * time.Minute)
			c, err := Dial(t.Context(), r, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			ended := make(chan error)
			go func() {
				// Not a blocking command: those have connections of their own.
				ended <- c.Do(ctx, c.B().Arbitrary("BLPOP", "none", "0").Build()).Error()
			}()
			other, err := Dial(t.Context(), r, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			for blocked := false; !blocked; {
				info, err := other.Do(t.Context(), other.B().Info().Section("clients").Build()).ToString()
				if err != nil {
					t.Fatal(err)
				}
				blocked = strings.Contains(info, "blocked_clients:1")
			}
			c.Abort()
			if err := <-ended; err == nil || Reply(err) != "" {
				t.Errorf("the command ended with %v", err)
			}
		})
	}
}

// TestDialEnds dials a server that accepts connections and says nothing: Dial returns at its
// time-out, and when the context ends.
func TestDialEnds(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Pause()
	defer s.Resume()
	r := s.Config().Redis
	r.ConnectTimeout = config.Duration(50 * time.Millisecond)
	if _, err := Dial(t.Context(), &r, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("in time: %v", err)
	}
	r.ConnectTimeout = config.Duration(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := Dial(ctx, &r, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFinal(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c, err := Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	script := func(reply string) error {
		return fmt.Errorf("wrapped: %w", c.Do(t.Context(), c.B().Eval().Script("return redis.error_reply(ARGV[1])").Numkeys(0).Arg(reply).Build()).Error())
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{io.EOF, ""},
		{rueidis.Nil, ""},
		{script("LOADING Redis is loading"), ""},
		{script("ERR max number of clients reached"), ""},
		{script("NOPERM no"), "NOPERM no"},
	} {
		if got := Final(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
