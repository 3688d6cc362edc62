package redisconn

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// A Script is one that runs in Redis.
type Script struct{ text, sha string }

// NewScript returns the script with this text, in Lua.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text, hex.EncodeToString(sum[:])}
}

// Call returns the command that calls the script. A server that does not know it yet
// answers NOSCRIPT (see Unknown), unless the text goes along.
func (s *Script) Call(c *Client, withText bool, keys []string, args ...[]string) rueidis.Completed {
	name, which := "EVALSHA", s.sha
	if withText {
		name, which = "EVAL", s.text
	}
	command := c.B().Arbitrary(name, which, strconv.Itoa(len(keys))).Keys(keys...)
	for _, a := range args {
		command = command.Args(a...)
	}
	return command.Build()
}

// Unknown reports whether an error reply says that the server does not know the script.
func Unknown(reply string) bool { return strings.HasPrefix(reply, "NOSCRIPT ") }

// MayNotRun reports whether an error reply says that this user may not run scripts, or
// that the server has none.
func MayNotRun(reply string) bool {
	reply = strings.ToLower(reply)
	return strings.Contains(reply, "eval") && (strings.HasPrefix(reply, "noperm ") || strings.Contains(reply, "unknown command"))
}

// ScriptError is the text of an error that a script has caught, as other replies are
// written: Redis 6 gives scripts the line as it goes over the wire.
func ScriptError(text string) string { return strings.TrimSpace(strings.TrimPrefix(text, "-")) }

// Denied reports whether an error reply says that this user has not the right to a command
// or a key, also where a script needs it: Redis 6, and Redis 8 and Valkey, leave out the
// NOPERM then.
func Denied(reply string) bool {
	return strings.HasPrefix(reply, "NOPERM ") || strings.Contains(reply, "ACL failure in script") ||
		strings.Contains(reply, "can't run this command")
}
