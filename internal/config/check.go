package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/lpportorino/jettison-base-images/internal/address"
	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/restart"
)

// Check returns the impossible and contradictory settings in c, as Errors without files and
// lines, or nil. Load calls it. Code that builds or changes a Config by flags calls it
// afterwards.
func (c *Config) Check() error {
	var e Errors
	c.check(&e)
	return e.err()
}

// CheckRun checks that c can run an app, and returns Errors or nil: it needs an executable,
// and a name that can stand in Redis keys. Only the start finds a missing executable.
func (c *Config) CheckRun() error {
	var e Errors
	if c.App.Executable == "" {
		e.add("app.executable", "must be set: it is what wrapp runs", "")
	} else if c.App.StreamName == "" && !isName(c.Name()) {
		hint := ""
		if strings.Contains(c.App.Executable, " ") {
			hint = "if what follows the blank are arguments, they stand in app.args"
		}
		e.add("app.stream_name", "must be set, because the executable's own name will not do: "+nameRule, hint)
	}
	return e.err()
}

// Warnings returns valid settings that are most likely mistakes, one line each. No line
// shows a value.
func (c *Config) Warnings() (warnings []string) {
	for _, category := range slices.Sorted(maps.Keys(c.Health.Pools)) {
		for i, source := range c.Health.Pools[category].Beat {
			if sign := beat.ShellSign(source); sign != "" {
				warnings = append(warnings, elementOf(join("health.pools", category)+".beat", i)+": no shell reads the "+sign+
					" in it, so the command gets it as it is; to have one: exec:sh -c '…'")
			}
		}
	}
	for _, hook := range c.Hooks.all() {
		if sign := beat.ShellSign(hook.target.Reveal()); sign != "" {
			warnings = append(warnings, hook.key+": no shell reads the "+sign+" in it, so the command gets it as it is; to have one: exec:sh -c '…'")
		}
	}
	return warnings
}

// Name returns the name of the app in Redis keys: app.stream_name, else the last element of
// the executable's path.
func (c *Config) Name() string {
	if c.App.StreamName != "" || c.App.Executable == "" {
		return c.App.StreamName
	}
	return filepath.Base(c.App.Executable)
}

func (c *Config) check(e *Errors) {
	c.Redis.check(e)
	c.App.check(e)
	c.Logs.check(e)
	c.Spool.check(e)
	c.Health.check(e)
	c.Restart.check(e)
	c.Hooks.check(e)
	c.Crash.check(e)
	c.Debug.check(e)
}

func (a *App) check(e *Errors) {
	if a.StreamName != "" && !isName(a.StreamName) {
		e.add("app.stream_name", nameRule, "")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Env)) {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			e.add(join("app.env", name), "the name of a variable must not be empty, nor have = or NUL in it", "")
		}
	}
	if a.StopSignal < 1 || a.StopSignal > rtMax {
		e.add("app.stop_signal", "must be a signal from 1 to 64", "")
	}
	oneOf(e, "app.tty", a.TTY)
	if a.StopTimeout < 0 {
		e.add("app.stop_timeout", "must not be negative", "")
	}
}

func (l *Logs) check(e *Errors) {
	oneOf(e, "logs.format", l.Format)
	if l.MaxLine < 256 || l.MaxLine > 16<<20 {
		e.add("logs.max_line", "must be from 256 bytes to 16MiB", "")
	}
	if l.MaxEntries < 1 {
		e.add("logs.max_entries", "must be at least 1", "")
	}
	oneOf(e, "logs.passthrough", l.Passthrough)
	if l.BlockTimeout <= 0 {
		e.add("logs.block_timeout", "must be more than 0", "to have no blocks at all say logs.blocks = false")
	}
	if l.MaxKeys < 1 {
		e.add("logs.max_keys", "must be at least 1", "to have no markers at all say logs.markers = false")
	}
}

func (s *Spool) check(e *Errors) {
	if s.Size < 1<<20 {
		e.add("spool.size", "must be at least 1MiB", "")
	}
	oneOf(e, "spool.when_full", s.WhenFull)
	checkPositive(e, "spool.drain_timeout", s.DrainTimeout)
}

// leastDelay keeps an app that ends at once from busying the machine with restarts.
const leastDelay = 10 * time.Millisecond

func (r *Restart) check(e *Errors) {
	oneOf(e, "restart.policy", r.Policy)
	if r.Delay < Duration(leastDelay) {
		e.add("restart.delay", "must be at least "+leastDelay.String(), "")
	} else if r.MaxDelay < r.Delay {
		e.add("restart.max_delay", "must not be below restart.delay, which is "+r.Delay.String(), "")
	}
	checkPositive(e, "restart.reset_after", r.ResetAfter)
	if r.Limit < 0 || r.Limit > restart.MostLimit {
		e.add("restart.limit", "must be from 0 to "+strconv.Itoa(restart.MostLimit), "0 is no limit")
	}
	checkPositive(e, "restart.window", r.Window)
}

func (h *Hooks) check(e *Errors) {
	for _, hook := range h.all() {
		if hook.target != "" && !beat.Callable(hook.target.Reveal()) {
			e.add(hook.key, "must be exec:COMMAND, http://… or https://…", "")
		}
	}
	checkPositive(e, "hooks.timeout", h.Timeout)
}

func (c *Crash) check(e *Errors) {
	oneOf(e, "crash.backtrace", c.Backtrace)
	checkPositive(e, "crash.timeout", c.Timeout)
	if c.ContextLines < 0 || c.ContextLines > 10000 {
		e.add("crash.context_lines", "must be from 0 to 10000", "")
	}
}

func (d *Debug) check(e *Errors) {
	checkHost(e, "debug.host", d.Host)
	checkPort(e, "debug.port", d.Port)
}

func (h *Health) check(e *Errors) {
	if h.Interval < Duration(100*time.Millisecond) {
		e.add("health.interval", "must be at least 100ms", "")
	}
	for _, category := range slices.Sorted(maps.Keys(h.Pools)) {
		key := join("health.pools", category)
		if !isCategory(category) {
			e.add(key, "the name of a pool must be of letters, digits and _ only", "")
		}
		p := h.Pools[category]
		p.check(e, key+".")
	}
}

func (p *Pool) check(e *Errors, prefix string) {
	for _, parameter := range []struct {
		name  string
		value int64
	}{
		{"init", p.Init}, // may be above cap
		{"depletion_rate", p.DepletionRate},
		{"replenish_rate", p.ReplenishRate},
	} {
		if parameter.value < 0 {
			e.add(prefix+parameter.name, "must be at least 0", "")
		}
	}
	if p.Cap < 1 {
		e.add(prefix+"cap", "must be set, and at least 1: heartbeats raise the health up to it", "")
	}
	if len(p.Beat) == 0 {
		e.add(prefix+"beat", "must name at least one source of heartbeats", "")
	}
	for i, source := range p.Beat {
		if !beat.Valid(source) {
			e.add(elementOf(prefix+"beat", i), "must be "+Either(beat.Forms()), didYouMean(Nearest(source, beat.Words())))
		}
	}
	secure := slices.ContainsFunc(p.Beat, func(source string) bool { return strings.HasPrefix(source, "https://") })
	switch {
	case p.CAFile != "" && !secure:
		e.add(prefix+"ca_file", "is for https://… probes, and beat names none", "")
	case p.CAFile != "" && p.Insecure:
		e.add(prefix+"ca_file", "is ignored if insecure is true", "say one of them")
	case p.Insecure && !secure:
		e.add(prefix+"insecure", "is for https://… probes, and beat names none", "")
	}
	oneOfWords(e, prefix+"on_depleted", p.OnDepleted, wordsOf["health.pools.*.on_depleted"])
}

// WordsOf returns the words that a key accepts, nil if it is no choice of words.
func WordsOf(key string) []string { return wordsOf[key] }

// wordsOf has the keys that accept only some words.
var wordsOf = map[string][]string{
	"logs.format":                {"text", "json"},
	"app.tty":                    {"no", "stdout", "both"},
	"logs.passthrough":           {"auto", "always", "never"},
	"spool.when_full":            {"drop_oldest", "block"},
	"restart.policy":             {restart.Never, restart.OnFailure, restart.Always},
	"crash.backtrace":            {"auto", "gdb", "builtin", "off"},
	"health.pools.*.on_depleted": {"none", "stop", "restart", "dump", "dump,stop", "dump,restart"},
}

// mustBeSaid has the keys without a default, which must be set if their table is.
var mustBeSaid = map[string]bool{
	"redis.sentinel.master": true, "redis.sentinel.addrs": true, "redis.cluster.addrs": true, "health.pools.*.cap": true,
}

// Either lists words for a message: a, b or c.
func Either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// oneOf records a value that is not among the key's words, with the nearest of them.
func oneOf(e *Errors, key, value string) { oneOfWords(e, key, value, wordsOf[key]) }

func oneOfWords(e *Errors, key, value string, words []string) {
	if slices.Contains(words, value) {
		return
	}
	// A value near one of the words is no misplaced password.
	shown, near := "", Nearest(value, words)
	if near != "" || value == "" {
		shown = ", not " + strconv.Quote(value)
	}
	e.add(key, "must be "+Either(words)+shown, didYouMean(near))
}

func checkPositive(e *Errors, key string, d Duration) {
	if d <= 0 {
		e.add(key, "must be more than 0", "")
	}
}

func checkHost(e *Errors, key, host string) {
	if !address.IsHost(host) {
		e.add(key, "must be a host name or an IP address, without port and brackets", "")
	}
}

func checkPort(e *Errors, key string, port int) {
	if port < 1 || port > 65535 {
		e.add(key, "must be from 1 to 65535", "")
	}
}

// nameRule describes isName: a name is part of Redis keys and patterns over them, stands
// between the braces of hash tags, and names the spool's directory.
const nameRule = `must not be . or .., nor have spaces, control characters, braces, / or any of * ? [ ] \ in it`

func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`/{}*?[]\`, r)
	})
}

// isCategory reports whether s may stand in a __healthpool__ marker.
func isCategory(s string) bool { return isBare(s) && !strings.Contains(s, "-") }
