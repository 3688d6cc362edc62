package values

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// mostInBatch bounds the keys of one batch: a script blocks Redis for all clients.
const mostInBatch = 500

// timeout bounds one attempt to write, once there is a connection.
const timeout = 2 * time.Second

// An attempt sends some mostBytes at most, by size: timeout is then enough for a link of 50 KiB/s,
// and a lost answer repeats at most some 1,000 counts that are sent one by one.
const (
	mostBytes = 32 << 10
	overhead  = 32 // bytes of a command or change without names and values
)

// Lives of the position: after a write, and after a write once ending is set. They also run while
// Redis is away: a batch whose answer was lost is counted twice if Redis is back only later.
const (
	positionLife = 24 * time.Hour
	farewellLife = time.Hour
)

// script carries out a batch; values.lua documents its arguments and its answer.
var script = rueidis.NewLuaScript(scriptText)

//go:embed values.lua
var scriptText string

// A writer writes one batch after another, each exactly once: the script stores the number
// of the newest batch that it has carried out, the position, and skips a batch that is sent
// again after a lost connection.
//
// In a cluster all keys of a script must have one slot. There a batch is one key, and the
// position is in that key's slot.
type writer struct {
	opts   Options
	id     string // of this run
	client *redisconn.Client

	batch  []change // being written; plain commands leave what is still to be written
	rest   []change // written after batch
	number int      // of the batch, from 1

	plain         bool            // the user may not run scripts; until the connection ends
	plainReported bool            // a warning about plain was logged
	ending        bool            // no further changes will come
	refused       map[string]bool // keys whose refusal was reported
	failed        int             // failed attempts in a row
	ever          bool            // there was a connection
	why           error           // error of the last attempt
}

// begin makes batch the one to write.
func (w *writer) begin(batch []change) {
	w.number++
	w.batch = batch
}

func (w *writer) key(name string) string { return "wrapp:" + w.opts.Name + ":" + name }

// size returns about how many bytes a change, or a command for it, takes on the wire.
func (w *writer) size(c *change) int { return overhead + len(w.opts.Name) + len(c.name) + len(c.set) }

// position returns the key of the position. Keys of values begin with wrapp:, so none can be it.
func (w *writer) position() string {
	tag := "wrapp:" + w.opts.Name
	if w.client.InCluster() {
		tag = w.key(w.batch[0].name)
	}
	return "{" + tag + "}:wrapp:" + w.id
}

// next makes rest the batch to write.
func (w *writer) next() {
	w.batch = nil
	if rest := w.rest; len(rest) > 0 {
		w.rest = nil
		w.begin(rest)
	}
}

// partly reports whether a successful attempt with plain commands has left changes for the next.
func (w *writer) partly() bool { return w.plain && len(w.batch) > 0 }

// wait returns how long to wait before the next attempt: about 0.1 s after the first failure, which
// mostly is an idle connection that was lost; about 1 s after others. It is random, so that apps do
// not all reconnect together.
func (w *writer) wait() time.Duration {
	d := time.Second
	if w.failed == 1 {
		d = 100 * time.Millisecond
	}
	return d/2 + rand.N(d)
}

// write tries once to write the batch. If it succeeds, batch is what is left of it, the next one,
// or empty.
func (w *writer) write() error {
	err := w.attempt()
	if err != nil {
		w.hangUp()
		w.why = err
		if w.failed++; w.failed == 2 { // a single failure is not logged
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

func (w *writer) attempt() (err error) {
	if w.client == nil {
		if w.client, err = w.opts.Dial(context.Background()); err != nil {
			w.client = nil
			return err
		}
		w.ever = true
		w.plain = false
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if w.client.InCluster() && len(w.batch) > 1 {
		// None of the batch was ever sent.
		w.rest = append(w.batch[1:len(w.batch):len(w.batch)], w.rest...)
		w.batch = w.batch[:1:1]
	}
	if w.plain {
		return w.writePlain(ctx)
	}
	refused, err := w.call(ctx)
	if reply := redisconn.Reply(err); redisconn.MayNotRun(reply) || redisconn.Denied(reply) {
		w.becomePlain(reply)
		return w.writePlain(ctx)
	}
	if err != nil {
		return err
	}
	for i, reply := range refused {
		w.refuse(w.batch[i].name, reply)
	}
	w.next()
	return nil
}

// call calls the script. refused has the error replies, by the change's index in the batch; they are
// for good. If Redis refuses for now, err has the reply, and nothing was changed.
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
	answer, err := script.Exec(ctx, w.client, keys, args).ToArray()
	if err != nil {
		return nil, err
	}
	refused = make(map[int]string)
	for i := 0; i+1 < len(answer); i += 2 {
		place, err := answer[i].ToInt64()
		text, err2 := answer[i+1].ToString()
		if err := errors.Join(err, err2); err != nil || place < 1 || int(place) > len(w.batch) {
			return nil, errors.New("the script's answer is malformed")
		}
		refused[int(place)-1] = redisconn.ScriptError(text)
	}
	return refused, nil
}

// refuse reports, once for each key, that Redis does not take its value.
func (w *writer) refuse(name, reply string) {
	if w.refused[name] {
		return
	}
	w.refused[name] = true // MaxKeys bounds them
	w.opts.Refused(fmt.Sprintf("redis does not take the value %s: %s", w.key(name), reply))
}

// becomePlain makes the writer use plain commands until the connection ends. A count may
// then come twice when an answer is lost.
func (w *writer) becomePlain(reply string) {
	w.plain = true
	if !w.plainReported {
		w.plainReported = true
		w.opts.Log.Warn(fmt.Sprintf("redis does not let this user run scripts: a count may come twice after a lost connection; wrapp acl %s prints the rules that are needed", w.opts.Name), "reply", reply)
	}
}

// A plainCommand carries out a part of a change: it sets the key, or increments it.
type plainCommand struct {
	change  int   // index in the batch
	add     int64 // 0: it sets the key
	decimal bool  // INCRBYFLOAT
}

// writePlain writes some mostBytes of the batch for a user that may not run the script, and
// leaves the remainder in it.
func (w *writer) writePlain(ctx context.Context) error {
	parts, commands := w.plainCommands()
	var again error // the first that leaves a command to be sent again later
	for i, result := range w.client.DoMulti(ctx, commands...) {
		part := parts[i]
		c := &w.batch[part.change]
		err := result.Error()
		reply := redisconn.Reply(err)
		switch increment := part.add > 0; {
		case increment && c.set != "":
			// The key is still to be set, and then incremented, whatever has become of this.
		case err == nil && increment:
			c.add = max(c.add-part.add, 0)
		case err == nil:
			c.set = ""
		case reply == "" || redisconn.Temporary(reply): // without a reply it may have been carried out
			if again == nil {
				again = err
			}
		case increment && !part.decimal && strings.Contains(reply, "not an integer"):
			c.decimal = true
		case increment && !part.decimal && !c.single && redisconn.Denied(reply):
			c.single = true
		default:
			w.refuse(c.name, reply)
			if increment {
				c.add = 0
			} else {
				c.set = ""
			}
		}
	}
	w.batch = slices.DeleteFunc(w.batch, func(c change) bool { return c.set == "" && c.add == 0 })
	if len(w.batch) == 0 {
		w.next()
	}
	return again
}

// plainCommands returns the first commands of the batch, of some mostBytes.
func (w *writer) plainCommands() (parts []plainCommand, commands []rueidis.Completed) {
	b, size := w.client.B, 0
	for i := range w.batch {
		if size >= mostBytes {
			break
		}
		c := &w.batch[i]
		key := w.key(c.name)
		send := func(part plainCommand, command rueidis.Completed) {
			part.change = i
			parts, commands = append(parts, part), append(commands, command)
			size += w.size(c)
		}
		if c.set != "" {
			send(plainCommand{}, b().Set().Key(key).Value(c.set).Build())
		}
		switch {
		case c.add > 0 && c.decimal:
			send(plainCommand{add: c.add, decimal: true}, b().Incrbyfloat().Key(key).Increment(float64(c.add)).Build())
		case c.add > 0 && c.single:
			for n := c.add; n > 0 && size < mostBytes; n-- {
				send(plainCommand{add: 1}, b().Incr().Key(key).Build())
			}
		case c.add > 0:
			send(plainCommand{add: c.add}, b().Incrby().Key(key).Increment(c.add).Build())
		}
	}
	return parts, commands
}

// expirePosition makes the position expire soon, unless something still waits.
func (w *writer) expirePosition() {
	if w.client == nil || w.plain || w.number == 0 || w.client.InCluster() || len(w.batch) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	w.number++
	w.call(ctx) // on an error the position expires later
}
