package values

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// mostInBatch is how many keys are written at once: a script holds Redis up.
const mostInBatch = 500

// timeout is how long Redis may take to answer a batch.
const timeout = 2 * time.Second

// Lives of the position. They go by even while the server is away, so the first is longer
// than that may take.
const (
	positionLife = 24 * time.Hour
	farewellLife = time.Hour // from an end at which nothing waits any more
)

// script is what Redis does with a batch.
var script = redisconn.NewScript(scriptText)

//go:embed values.lua
var scriptText string

// A named change is a change and its key, without the wrapp:<name>: in front.
type named struct {
	name string
	change
}

// A writer writes one batch after another, each exactly once: the script remembers the
// number of the newest that it has carried out, so one that is sent again after a lost
// connection is passed over.
//
// In a cluster a script is of one slot. There a batch is one key, and its position has the
// slot of the key.
type writer struct {
	opts   Options
	id     string // of this run
	client *redisconn.Client

	batch  []named // what is being written
	rest   []named // what comes after it
	number int     // of batches

	known   bool            // the server knows the script by its SHA
	plain   bool            // this user may not run scripts; until the connection ends
	told    bool            // of that
	ending  bool            // nothing comes behind what waits
	refused map[string]bool // keys of which it was told
	failed  int             // attempts in a row
	ever    bool            // there was a connection
	why     error           // of the last failure
}

// begin makes batch the one to write.
func (w *writer) begin(batch []named) {
	w.number++
	w.batch = batch
}

func (w *writer) key(name string) string { return "wrapp:" + w.opts.Name + ":" + name }

// position is the key of the position. It is no key that a marker can name.
func (w *writer) position() string {
	of := "wrapp:" + w.opts.Name
	if w.client.InCluster() {
		of = w.key(w.batch[0].name)
	}
	return "{" + of + "}:wrapp:" + w.id
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
	if w.client != nil {
		w.client.Close()
		w.client = nil
	}
}

func (w *writer) attempt(ctx context.Context) (err error) {
	if w.client == nil {
		if w.client, err = w.opts.Dial(ctx); err != nil {
			w.client = nil
			return err
		}
		w.ever = true
		w.known, w.plain = false, false
	}
	if w.client.InCluster() && len(w.batch) > 1 {
		// None of it was ever sent.
		w.rest = append(w.batch[1:len(w.batch):len(w.batch)], w.rest...)
		w.batch = w.batch[:1:1]
	}
	if w.plain {
		return w.writePlain(ctx)
	}
	refused, err := w.call(ctx)
	reply := redisconn.Reply(err)
	switch {
	case err == nil:
		for i, reply := range refused {
			w.refuse(w.batch[i].name, reply)
		}
		w.next()
		return nil
	case redisconn.Unknown(reply) && w.known:
		w.known = false
		return w.attempt(ctx)
	case redisconn.MayNotRun(reply) || redisconn.Denied(reply):
		w.becomePlain(reply)
		return w.attempt(ctx)
	}
	return err
}

// call calls the script. refused are the errors of values that could not be changed, by
// their place in the batch.
func (w *writer) call(ctx context.Context) (refused map[int]string, err error) {
	life := positionLife
	if w.ending {
		life = farewellLife
	}
	keys := []string{w.position()}
	args := []string{strconv.Itoa(w.number), strconv.FormatInt(life.Milliseconds(), 10)}
	for _, c := range w.batch {
		keys = append(keys, w.key(c.name))
		args = append(args, c.set, strconv.FormatInt(c.add, 10))
	}
	answer, err := w.client.Do(ctx, script.Call(w.client, !w.known, keys, args)).ToArray()
	if err != nil {
		return nil, err
	}
	w.known = true
	refused = make(map[int]string)
	for i := 0; i+1 < len(answer); i += 2 {
		place, err := answer[i].ToInt64()
		text, err2 := answer[i+1].ToString()
		if err := errors.Join(err, err2); err != nil || place < 1 || int(place) > len(w.batch) {
			return nil, errors.New("redis answered the script with something else than it returns")
		}
		refused[int(place)-1] = redisconn.ScriptError(text)
	}
	return refused, nil
}

// refuse tells, once for each key, that Redis does not take its value.
func (w *writer) refuse(name, reply string) {
	if w.refused[name] {
		return
	}
	if len(w.refused) < mostKeys {
		w.refused[name] = true
	}
	w.opts.Refused(fmt.Sprintf("redis does not take the value %s: %s", w.key(name), reply))
}

// becomePlain has values be written by plain commands until the connection ends. A count
// may come twice then, when an answer is lost.
func (w *writer) becomePlain(reply string) {
	w.plain = true
	if !w.told {
		w.told = true
		w.opts.Log.Warn(fmt.Sprintf("redis does not let this user run scripts: a count may come twice after a lost connection; wrapp acl %s prints the rules that are needed", w.opts.Name), "reply", reply)
	}
}

// writePlain writes the batch where the script may not run.
func (w *writer) writePlain(ctx context.Context) error {
	b := w.client.B
	var commands []rueidis.Completed
	var of []named // the change that each command is of
	add := func(c named, command rueidis.Completed) {
		commands, of = append(commands, command), append(of, c)
	}
	for _, c := range w.batch {
		key := w.key(c.name)
		if c.set != "" {
			add(named{c.name, change{set: c.set}}, b().Set().Key(key).Value(c.set).Build())
			c.set = ""
		}
		switch {
		case c.add > 0 && c.decimal:
			add(c, b().Incrbyfloat().Key(key).Increment(float64(c.add)).Build())
		case c.add > 0 && c.single:
			one := named{c.name, change{add: 1, single: true}}
			for range c.add {
				add(one, b().Incr().Key(key).Build())
			}
		case c.add > 0:
			add(c, b().Incrby().Key(key).Increment(c.add).Build())
		}
	}
	var again []named
	var first error // of those that go away by themselves
	for i, result := range w.client.DoMulti(ctx, commands...) {
		c := of[i]
		err := result.Error()
		reply := redisconn.Reply(err)
		switch increment := c.add > 0 && !c.decimal; {
		case err == nil:
			continue
		case reply == "":
			return err // what was carried out comes twice
		case redisconn.Passing(reply):
			if first == nil {
				first = err
			}
		case increment && strings.Contains(reply, "not an integer"):
			c.decimal = true
		case increment && !c.single && redisconn.Denied(reply):
			c.single = true
		default:
			w.refuse(c.name, reply)
			continue
		}
		again = append(again, c)
	}
	w.rest = append(again, w.rest...)
	w.next()
	return first
}

// farewell has the position expire soon, when nothing waits any more.
func (w *writer) farewell() {
	if w.client == nil || w.plain || w.number == 0 || w.client.InCluster() || len(w.batch) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	w.number++
	w.call(ctx) // one that fails expires later
}
