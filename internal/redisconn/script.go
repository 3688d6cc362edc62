package redisconn

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/redis/rueidis"
)

// A Script is a Lua script that runs in Redis.
type Script struct{ text, sha string }

// NewScript returns the script with the given text.
func NewScript(text string) *Script {
	sum := sha1.Sum([]byte(text))
	return &Script{text, hex.EncodeToString(sum[:])}
}

// Call returns the command that calls the script, by its text or only by its SHA. A server
// that does not know the SHA answers NOSCRIPT; see Unknown.
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

// ScriptError returns the text of an error that a script has caught, without the place in the script,
// the leading "-" and the line's end that Redis 6 leaves in it.
func ScriptError(text string) string {
	if rest, ok := strings.CutPrefix(text, "@user_script: "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	return strings.TrimSpace(strings.TrimPrefix(text, "-"))
}

// Denied reports whether an error reply says that this user lacks the right to a command or a
// key, also within a script: there Redis 6, Redis 8 and Valkey leave out NOPERM.
func Denied(reply string) bool {
	return strings.HasPrefix(reply, "NOPERM ") || strings.Contains(reply, "ACL failure in script") ||
		strings.Contains(reply, "can't run this command")
}
