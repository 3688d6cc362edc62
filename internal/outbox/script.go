package outbox

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/redisconn"
)

// script adds the entries of a call; script.lua documents its arguments and its answer.
var script = redisconn.NewScript(scriptText)

//go:embed script.lua
var scriptText string

// Lives of a position, in milliseconds: after an entry, and after an end with nothing
// waiting.
var (
	positionLife = strconv.FormatInt((30 * 24 * time.Hour).Milliseconds(), 10)
	farewellLife = strconv.FormatInt(time.Hour.Milliseconds(), 10)
)

// positionKey returns the key of a writer's position in a stream. The braces put it into the
// stream's slot; names have no braces.
func positionKey(stream string, writer uint64) string {
	return fmt.Sprintf("{%s}:wrapp:%016x", stream, writer)
}

// A scriptCall is one call of the script.
type scriptCall struct {
	stream, positionKey string
	believed            uint64   // the position must be at this ordinal or above
	life                string   // of the position, in milliseconds
	args                []string // groups of entries
}

// command returns the call as a command, with the script's text or only its SHA.
func (c *scriptCall) command(client *redisconn.Client, bound string, withText bool) rueidis.Completed {
	head := [...]string{strconv.FormatUint(c.believed, 10), bound, c.life}
	return script.Call(client, withText, []string{c.stream, c.positionKey}, head[:], c.args)
}

// An outcome says what became of a call of the script.
type outcome int64

const (
	added      outcome = iota // added all entries, or those before the failure
	behind                    // added none: the position is below the believed ordinal
	noPosition                // the position cannot be read or written; if the script's last step failed, entries were added
)

// An answer is the script's answer to a call.
type answer struct {
	outcome
	ordinal uint64 // position: all entries up to it have landed
	count   uint64 // entries of this writer that have landed
	moved   int    // entries that got other IDs than ours
	failure string // the error reply that ended the script, "" if there was none
}

var errAnswer = errors.New("the script's answer is malformed")

func parseAnswer(r rueidis.RedisResult) (a answer, err error) {
	values, err := r.ToArray()
	if err != nil {
		return a, err
	}
	if len(values) < 4 {
		return a, errAnswer
	}
	var n [4]int64
	for i := range n {
		if n[i], err = values[i].ToInt64(); err != nil {
			return a, errAnswer
		}
	}
	a = answer{ordinal: uint64(n[0]), count: uint64(n[1]), moved: int(n[2]), outcome: outcome(n[3])}
	if len(values) > 4 && !values[4].IsNil() {
		if a.failure, err = values[4].ToString(); err != nil {
			return a, errAnswer
		}
		a.failure = redisconn.ScriptError(a.failure)
	}
	return a, nil
}
