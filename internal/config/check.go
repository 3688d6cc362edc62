package config

import (
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Check says what is impossible or contradictory in c, as Errors without files
// and lines, or nil. Load has done so already; what builds or changes a Config by
// flags calls it afterwards.
func (c *Config) Check() error {
	var e Errors
	c.check(&e)
	return e.err()
}

// CheckRun says what c lacks for running an app, as Errors, or nil: an
// executable, and a name that can stand in Redis keys. Whether the executable
// exists is found out by starting it.
func (c *Config) CheckRun() error {
	var e Errors
	if c.App.Executable == "" {
		e.add("app.executable", "must be set: it is what wrapp runs", "")
	} else if c.App.StreamName == "" && !isName(c.Name()) {
		e.add("app.stream_name", "must be set, because the executable's own name will not do: "+nameRule, "")
	}
	return e.err()
}

// Name returns the name that the app's streams, values and pools go by in Redis:
// app.stream_name, else the last element of the executable's path.
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
	c.Crash.check(e)
	c.Debug.check(e)
}

func (a *App) check(e *Errors) {
	noNUL(e, "app.executable", a.Executable)
	for i, arg := range a.Args {
		noNUL(e, "app.args["+strconv.Itoa(i)+"]", arg)
	}
	if a.StreamName != "" && !isName(a.StreamName) {
		e.add("app.stream_name", nameRule, "")
	}
	noNUL(e, "app.user", a.User)
	noNUL(e, "app.dir", a.Dir)
	for _, name := range sortedKeys(a.Env) {
		key := join("app.env", name)
		if name == "" || strings.ContainsAny(name, "=\x00") {
			e.add(key, "the name of a variable must not be empty, nor have = or NUL in it", "")
		}
		noNUL(e, key, a.Env[name])
	}
	if a.StopSignal < 1 || a.StopSignal > rtMax {
		e.add("app.stop_signal", "must be a signal from 1 to 64", "")
	}
	if a.StopTimeout < 0 {
		e.add("app.stop_timeout", "must not be negative", "")
	}
}

func (l *Logs) check(e *Errors) {
	oneOf(e, "logs.format", l.Format, "text", "json")
	if l.MaxLine < 256 || l.MaxLine > 16<<20 {
		e.add("logs.max_line", "must be from 256 bytes to 16MiB", "")
	}
	if l.MaxEntries < 1 {
		e.add("logs.max_entries", "must be at least 1", "")
	}
	oneOf(e, "logs.passthrough", l.Passthrough, "auto", "always", "never")
}

func (s *Spool) check(e *Errors) {
	noNUL(e, "spool.dir", s.Dir)
	if s.Size < 1<<20 {
		e.add("spool.size", "must be at least 1MiB", "")
	}
	oneOf(e, "spool.when_full", s.WhenFull, "drop_oldest", "block")
}

func (c *Crash) check(e *Errors) {
	oneOf(e, "crash.backtrace", c.Backtrace, "auto", "gdb", "builtin", "off")
	if c.Timeout <= 0 {
		e.add("crash.timeout", "must be more than 0", "")
	}
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
	for _, category := range sortedKeys(h.Pools) {
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
		least int64
	}{
		{"init", p.Init, 0},
		{"cap", p.Cap, 1},
		{"depletion_rate", p.DepletionRate, 0},
		{"replenish_rate", p.ReplenishRate, 0},
	} {
		if parameter.value < parameter.least {
			e.add(prefix+parameter.name, "must be at least "+strconv.FormatInt(parameter.least, 10), "")
		}
	}
	if len(p.Beat) == 0 {
		e.add(prefix+"beat", "must name at least one source of heartbeats", "")
	}
	for i, beat := range p.Beat {
		if !isBeat(beat) {
			e.add(prefix+"beat["+strconv.Itoa(i)+"]", "must be marker, notify, output, http://…, https://…, tcp://host:port or exec:COMMAND",
				didYouMean(nearestWord(beat, []string{"marker", "notify", "output"})))
		}
	}
	oneOf(e, prefix+"on_depleted", p.OnDepleted, "none", "stop", "dump", "dump,stop")
}

// isBeat says whether s names a source of heartbeats.
func isBeat(s string) bool {
	switch s {
	case "marker", "notify", "output":
		return true
	}
	if command, ok := strings.CutPrefix(s, "exec:"); ok {
		words, err := Words(command)
		return err == nil && len(words) > 0 && words[0] != "" && !strings.Contains(s, "\x00")
	}
	if address, ok := strings.CutPrefix(s, "tcp://"); ok {
		return isHostPort(address)
	}
	return isHTTP(s)
}

// oneOf notes a value that is none of the words, and the nearest of them.
func oneOf(e *Errors, key, value string, words ...string) {
	if slices.Contains(words, value) {
		return
	}
	list := strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	e.add(key, "must be "+list+", not "+quote(value), didYouMean(nearestWord(value, words)))
}

// noNUL notes text that cannot be handed to the kernel.
func noNUL(e *Errors, key, s string) {
	if strings.Contains(s, "\x00") {
		e.add(key, "must not have NUL in it", "")
	}
}

func checkHost(e *Errors, key, host string) {
	if !isHost(host) {
		e.add(key, "must be a host name or an IP address, without port and brackets", "")
	}
}

func checkPort(e *Errors, key string, port int) {
	if port < 1 || port > 65535 {
		e.add(key, "must be from 1 to 65535", "")
	}
}

// isHost says whether s may be a host name or is an IP address.
func isHost(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return s != "" && len(s) <= 253 && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-._", r)
	})
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && isHost(host) && isPort(port)
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

// nameRule is what isName allows: a name stands in Redis keys and in patterns
// over them, between the braces of markers, and names the spool's directory.
const nameRule = `must not be . or .., nor have spaces, control characters, braces, / or any of * ? [ ] \ in it`

func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsGraphic(r) || unicode.IsSpace(r) || strings.ContainsRune(`/{}*?[]\`, r)
	})
}

// isCategory says whether s may stand in a __healthpool__ marker.
func isCategory(s string) bool { return isBare(s) && !strings.Contains(s, "-") }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
