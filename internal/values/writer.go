package values

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// mostInBatch is how many keys are written at once: a transaction holds Redis up.
const mostInBatch = 500

// timeout is how long Redis may take to answer a batch.
const timeout = 2 * time.Second

// tokenLife is how long a token stays in Redis. It goes by even while the server
// is away, so it is longer than that may take.
const tokenLife = 24 * time.Hour

// A named change is a change and its key, without the wrapp:<name>: in front.
type named struct {
	name string
	change
}

// A writer writes one batch after another, each exactly once.
//
// INCRBY is not idempotent, so a batch goes in a transaction together with a
// token of its own: after a lost connection the token says whether the batch has
// landed. The key of the token is watched from before it is read until the
// transaction, on every connection. So a transaction that Redis still had from a
// lost connection, and one that was sent again, cannot both be carried out,
// whichever comes first.
type writer struct {
	opts Options
	conn *redisconn.Conn

	batch  []named // what is being written
	token  string  // of the batch
	number int     // of batches

	refused map[string]bool // keys of which it was told
	failed  int             // attempts in a row
	ever    bool
	why     error // of the last failure
}

// begin makes batch the one to write.
func (w *writer) begin(batch []named) {
	w.number++
	w.batch = batch
	w.token = fmt.Sprintf("%d-%08x-%d", time.Now().UnixMilli(), rand.Uint32(), w.number)
}

func (w *writer) key(name string) string { return "wrapp:" + w.opts.Name + ":" + name }

// tokenKey is no key that a marker can name.
func (w *writer) tokenKey() string { return "wrapp-token:" + w.opts.Name }

// Back-off between attempts, doubled from the first to the last, each with a random
// half of it added.
const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 2 * time.Second
)

// wait is how long to wait before the next attempt.
func (w *writer) wait() time.Duration {
	d := lastBackoff
	if w.failed < 7 {
		d = min(lastBackoff, firstBackoff<<w.failed)
	}
	return d/2 + rand.N(d)
}

// write tries to write the batch, which is empty once it has landed.
func (w *writer) write() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := w.attempt(ctx)
	if err != nil {
		w.hangUp()
		w.why = err
		if w.failed++; w.failed == 2 { // what works at the second attempt is not worth a word
			w.opts.Log.Warn("values are not written", "error", err)
		}
		return err
	}
	if w.failed > 1 {
		w.opts.Log.Info("values are written again", "failures", w.failed)
	}
	w.ever, w.failed, w.why = true, 0, nil
	return nil
}

func (w *writer) hangUp() {
	if w.conn != nil {
		w.conn.Close()
		w.conn = nil
	}
}

func (w *writer) attempt(ctx context.Context) (err error) {
	if w.conn == nil {
		if w.conn, err = w.opts.Dial(ctx); err != nil {
			w.conn = nil
			return err
		}
	}
	answers, err := w.exchange(ctx, []any{"WATCH", w.tokenKey()}, []any{"GET", w.tokenKey()})
	if err != nil {
		return err
	}
	if token, _ := redis.String(answers[1], nil); token == w.token {
		w.batch = nil // it had landed
		return nil
	}
	commands := [][]any{{"MULTI"}}
	for _, c := range w.batch {
		commands = append(commands, w.commands(c)...)
	}
	commands = append(commands, []any{"SET", w.tokenKey(), w.token, "PX", tokenLife.Milliseconds()}, []any{"EXEC"})
	answers, err = w.exchange(ctx, commands...)
	if err != nil {
		return err
	}
	results, ok := answers[len(answers)-1].([]any)
	if !ok {
		return errors.New("the token has changed: another wrapp of this name writes, or an earlier attempt has landed")
	}
	w.settle(results)
	return nil
}

// exchange sends commands in one pipeline and returns their answers. An answer
// that is an error is one.
func (w *writer) exchange(ctx context.Context, commands ...[]any) ([]any, error) {
	for _, c := range commands {
		if err := w.conn.Send(c[0].(string), c[1:]...); err != nil {
			return nil, err
		}
	}
	if err := w.conn.Flush(); err != nil {
		return nil, err
	}
	answers := make([]any, len(commands))
	var first error
	for i := range commands {
		answer, err := w.conn.ReceiveContext(ctx)
		var reply redis.Error
		if err != nil && !errors.As(err, &reply) {
			return nil, err
		}
		// The error of a queued command says more than EXEC's of the whole.
		if err != nil && first == nil {
			first = fmt.Errorf("%v: %w", commands[i][:min(2, len(commands[i]))], err)
		}
		answers[i] = answer
	}
	return answers, first
}

// commands carry out a change.
func (w *writer) commands(c named) (commands [][]any) {
	key := w.key(c.name)
	set, add := c.set, c.add
	if n, err := strconv.ParseInt(set, 10, 64); err == nil && add > 0 && n <= math.MaxInt64-add {
		set, add = strconv.FormatInt(n+add, 10), 0
	}
	if set != "" {
		commands = append(commands, []any{"SET", key, set})
	}
	if add > 0 && (c.decimal || strings.Contains(set, ".")) {
		commands = append(commands, []any{"INCRBYFLOAT", key, add})
	} else if add > 0 {
		commands = append(commands, []any{"INCRBY", key, add})
	}
	return commands
}

// settle looks at the results of the batch, which has landed but for what Redis
// could not increment. What is no whole number is then incremented as a decimal
// one.
func (w *writer) settle(results []any) {
	var again []named
	i := 0
	for _, c := range w.batch {
		for range w.commands(c) {
			err, failed := results[i].(redis.Error)
			i++
			switch {
			case !failed:
			case !c.decimal && strings.HasPrefix(string(err), "ERR value is not an integer"):
				again = append(again, named{c.name, change{add: c.add, decimal: true}})
			case !w.refused[c.name]:
				if len(w.refused) < mostKeys {
					w.refused[c.name] = true
				}
				w.opts.Refused(fmt.Sprintf("redis does not take the value %s: %s", w.key(c.name), string(err)))
			}
		}
	}
	w.batch = nil
	if len(again) > 0 {
		w.begin(again)
	}
}
