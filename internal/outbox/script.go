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

// script is what Redis does with a call; script.lua says how it is called and what it
// answers.
var script = redisconn.NewScript(scriptText)

//go:embed script.lua
var scriptText string

// Lives of a position, in milliseconds: from the last entry, and from an end at which
// nothing waits any more.
var (
	positionLife = strconv.FormatInt((30 * 24 * time.Hour).Milliseconds(), 10)
	farewellLife = strconv.FormatInt(time.Hour.Milliseconds(), 10)
)

// positionKey is the key of what Redis has taken of a writer of a stream. It is in the
// stream's slot: a name has no braces.
func positionKey(stream string, writer uint64) string {
	return fmt.Sprintf("{%s}:wrapp:%016x", stream, writer)
}

// A scriptCall is one call of the script.
type scriptCall struct {
	stream, position string // keys
	believed         uint64 // ordinal that the position has at least
	life             string
	args             []string // runs of entries
}

// command is the call as a command. withText brings the script along.
func (c *scriptCall) command(client *redisconn.Client, bound string, withText bool) rueidis.Completed {
	head := [...]string{strconv.FormatUint(c.believed, 10), bound, c.life}
	return script.Call(client, withText, []string{c.stream, c.position}, head[:], c.args)
}

// An outcome says what became of a call of the script.
type outcome int64

const (
	added      outcome = iota // all entries, or those before the failure
	behind                    // none: the position is behind what we believed
	noPosition                // the position cannot be read, or not be written
)

// An answer is what the script answered.
type answer struct {
	outcome
	ordinal uint64 // all up to it has landed
	count   uint64 // as many entries of this writer
	moved   int    // entries that got other IDs than ours
	failure string // the error reply that ended it, "" if there was none
}

var errAnswer = errors.New("redis answered the script with something else than it returns")

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
