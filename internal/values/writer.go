package values

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/resp"
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
// whichever comes first. Other writers of the same name have that key too, so each
// keeps the last tokens of the others beside its own.
//
// In a cluster a transaction is of one slot. There a batch is one key, and its
// token has the slot of the key.
type writer struct {
	opts Options
	conn *redisconn.Conn

	batch  []named // what is being written
	rest   []named // what comes after it
	id     string  // of this writer
	token  string  // of the batch: the id and the number
	number int     // of batches

	refused map[string]bool // keys of which it was told
	failed  int             // attempts in a row
	ever    bool            // there was a connection
	why     error           // of the last failure
}

// begin makes batch the one to write.
func (w *writer) begin(batch []named) {
	w.number++
	w.batch = batch
	if w.id == "" {
		w.id = fmt.Sprintf("%d-%08x-", time.Now().UnixMilli(), rand.Uint32())
	}
	w.token = w.id + strconv.Itoa(w.number)
}

// mostTokens is how many writers of the same name are told apart: those that wrote
// last.
const mostTokens = 16

// tokens is what the token's key is to hold where it holds there: our token, and
// those of others.
func (w *writer) tokens(there []string) string {
	all := []string{w.token}
	for _, t := range there {
		if len(all) < mostTokens && !strings.HasPrefix(t, w.id) {
			all = append(all, t)
		}
	}
	return strings.Join(all, " ")
}

func (w *writer) key(name string) string { return "wrapp:" + w.opts.Name + ":" + name }

// tokenKey is that of the batch's token. It is no key that a marker can name.
func (w *writer) tokenKey() string {
	key := "wrapp-token:" + w.opts.Name
	if w.conn.InCluster() {
		key += ":{" + w.key(w.batch[0].name) + "}"
	}
	return key
}

// next makes what is left the one to write.
func (w *writer) next() {
	w.batch = nil
	if rest := w.rest; len(rest) > 0 {
		w.rest = nil
		w.begin(rest)
	}
}

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

// write tries to write the batch, which is another, or empty, once it has landed.
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
	w.failed, w.why = 0, nil
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
		w.ever = true
	}
	if w.conn.InCluster() && len(w.batch) > 1 {
		// None of it was ever sent.
		w.rest = append(w.batch[1:len(w.batch):len(w.batch)], w.rest...)
		w.batch = w.batch[:1:1]
	}
	conn, err := w.conn.At(ctx, w.key(w.batch[0].name))
	if err != nil {
		return err
	}
	// MULTI is answered before the rest is sent: if it were refused, and what follows
	// were not, that would be carried out one by one, with the token that says all was.
	token := w.tokenKey()
	answers, err := exchange(ctx, conn, []any{"WATCH", token}, []any{"GET", token}, []any{"MULTI"})
	if err != nil {
		return err
	}
	text, _ := resp.String(answers[1], nil)
	there := strings.Fields(text)
	if slices.Contains(there, w.token) {
		return w.landed(ctx, conn)
	}
	var commands [][]any
	for _, c := range w.batch {
		commands = append(commands, w.commands(c)...)
	}
	commands = append(commands, []any{"SET", token, w.tokens(there), "PX", tokenLife.Milliseconds()}, []any{"EXEC"})
	answers, err = exchange(ctx, conn, commands...)
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

// landed settles the batch, which has landed although the answer was lost, and ends
// the transaction that was begun for it. What Redis then could not increment shows
// in what is there: no whole number.
func (w *writer) landed(ctx context.Context, conn *redisconn.Conn) error {
	var results []any
	commands := [][]any{{"EXEC"}}
	var at []int // the results that are for the GETs behind it to say
	for _, c := range w.batch {
		for _, command := range w.commands(c) {
			if command[0] == "INCRBY" {
				commands = append(commands, []any{"GET", command[1]})
				at = append(at, len(results))
			}
			results = append(results, nil)
		}
	}
	answers, err := exchange(ctx, conn, commands...)
	if err != nil && redisconn.Final(err) == "" {
		return err
	}
	for i, answer := range answers[1:] {
		if reply, ok := answer.(resp.Error); ok {
			results[at[i]] = reply
		} else if _, err := resp.Int(answer, nil); err != nil && answer != nil {
			results[at[i]] = notWhole
		}
	}
	w.settle(results)
	return nil
}

// notWhole is how Redis refuses to increment what is no whole number.
const notWhole = resp.Error("ERR value is not an integer or out of range")

// exchange sends commands in one pipeline and returns their answers. The first
// answer that is an error is one.
func exchange(ctx context.Context, conn *redisconn.Conn, commands ...[]any) ([]any, error) {
	for _, c := range commands {
		conn.Send(c[0].(string), c[1:]...)
	}
	if err := conn.Flush(); err != nil {
		return nil, err
	}
	answers := make([]any, len(commands))
	var first error
	for i := range commands {
		answer, err := conn.ReceiveContext(ctx)
		var reply resp.Error
		if err != nil && !errors.As(err, &reply) {
			return nil, err
		}
		// The error of a queued command says more than EXEC's of the whole.
		if err != nil && first == nil {
			first = fmt.Errorf("%v: %w", commands[i][:min(2, len(commands[i]))], err)
		}
		if answers[i] = answer; err != nil {
			answers[i] = reply
		}
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
			err, failed := results[i].(resp.Error)
			i++
			switch {
			case !failed:
			case !c.decimal && err == notWhole:
				again = append(again, named{c.name, change{add: c.add, decimal: true}})
			case !w.refused[c.name]:
				if len(w.refused) < mostKeys {
					w.refused[c.name] = true
				}
				w.opts.Refused(fmt.Sprintf("redis does not take the value %s: %s", w.key(c.name), string(err)))
			}
		}
	}
	w.rest = append(again, w.rest...)
	w.next()
}
