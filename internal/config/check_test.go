package config

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

// Each row is a file and all its errors.
var badFiles = []struct{ name, data, want string }{
	// The file as a whole.
	{"x.toml", "a = \xff", "x.toml:1: is not UTF-8 text"},
	{"x.toml", "# é\n\n# \xc3(", "x.toml:3: is not UTF-8 text"},
	{"x.toml", "[redis\n", "x.toml:1: expected ']' to close table name"},
	{"x.toml", "[redis]\n\nhost = localhost\n", "x.toml:3: unexpected character at start of value (text stands in quotes)"},
	{"x.toml", "[redis]\nhost = true-host\n", "x.toml:2: expected newline"},
	{"x.toml", "[redis]\nhost = target\n", `x.toml:2: expected keyword "true" (text stands in quotes)`},
	{"x.toml", "[redis]\nport = 1\nport = 2\n", "x.toml:3: key port is already defined"},
	{"x.toml", "[logs]\n[app]\n[logs]\n", "x.toml:3: table logs already exists"},
	{"x.toml", "[debug]\nport = 1e999\n", "x.toml:2: unable to parse float"},
	{"x.json", "", "x.json:1: unexpected end of JSON input, column 1"},
	{"x.json", "{\n  \"redis\": {\n", "x.json:3: unexpected end of JSON input, column 1"},
	{"x.json", "[]", "x.json:1: must be a JSON object: { … }"},
	{"x.json", "null", "x.json:1: must be a JSON object: { … }"},
	{"x.json", "{}\n{}", "x.json:2: invalid character after top-level value, column 1"},
	{"x.json", "{\n // c\n}", "x.json:2: invalid character at the beginning of object key string, column 2 (JSON has no comments; a key that begins with _ is one)"},
	{"x.json", "{\"logs\": {} /* c */}", "x.json:1: invalid character after object key:value pair, column 13 (JSON has no comments; a key that begins with _ is one)"},
	{"x.json", "# c\n{}", "x.json:1: invalid character at the beginning of value, column 1 (JSON has no comments; a key that begins with _ is one)"},
	{"x.json", "{\"logs\": {},\n }", "x.json:2: invalid character at the beginning of object key string, column 2 (the comma before it is one too many)"},
	{"x.json", "{\"app\": {\"args\": [\"a\", ]}}", "x.json:1: invalid character at the beginning of value, column 24 (the comma before it is one too many)"},
	{"x.json", "{'logs': {}}", "x.json:1: invalid character at the beginning of object key string, column 2 (text stands in double quotes)"},
	{"x.json", "{\n \"redis\": {\"host\": localhost}}", "x.json:2: invalid character at the beginning of value, column 20"},
	{"x.json", "{\"redis\": {\"port\": 1,\n \"_c\": 1, \"_c\": 2,\n \"port\": 2}}", "x.json:3: redis.port: is given twice"},
	{"x.json", "{\"app\": {\"env\": {\"_A\": \"\",\n\"_A\": \"\"}}}", "x.json:2: app.env._A: is given twice"},

	// Unknown keys, and the one that was meant.
	{"x.toml", "[redis]\nprot = 1\n", "x.toml:2: redis.prot: unknown key (did you mean redis.port?)"},
	{"x.toml", "stream_name = 'x'\n", "x.toml:1: stream_name: unknown key (did you mean app.stream_name?)"},
	{"x.toml", "[redis]\nHost = 'x'\n", "x.toml:2: redis.Host: unknown key (did you mean redis.host?)"},
	{"x.toml", "[redis]\ndb = 1\n", "x.toml:2: redis.db: unknown key (did you mean redis.logs_db?)"},
	{"x.toml", "[app]\ntimeout = 1\n", "x.toml:2: app.timeout: unknown key (did you mean app.stop_timeout?)"},
	{"x.toml", "[log]\nformat = 'x'\n", "x.toml:1: log: unknown key (did you mean logs?)"},
	{"x.toml", "[tls]\n", "x.toml:1: tls: unknown key (did you mean redis.tls?)"},
	{"x.toml", "\nxyzzy = 1\n", "x.toml:2: xyzzy: unknown key"},
	{"x.toml", "\"\" = 1\n", `x.toml:1: "": unknown key`},
	{"x.toml", "[app]\nonDepleted = 1\non_depleted = 'stop'\n", "x.toml:2: app.onDepleted: unknown key (did you mean health.pools.<category>.on_depleted?)\n" +
		"x.toml:3: app.on_depleted: unknown key (did you mean health.pools.<category>.on_depleted?)"},
	{"x.toml", "health.pools.api.cap = 1\nhealth.pools.api.intit = 1\n", "x.toml:2: health.pools.api.intit: unknown key (did you mean health.pools.api.init?)"},
	{"x.toml", "logs = {\n  \"a b\" = 1 }\n", `x.toml:2: logs."a b": unknown key`},
	{"x.toml", "_comment = 1\n", "x.toml:1: _comment: unknown key"},
	{"x.json", "{\n\"redis\": {\n\"prot\": 1}}", "x.json:3: redis.prot: unknown key (did you mean redis.port?)"},
	{"x.toml", "redis." + strings.Repeat("a", 100) + " = 1", "x.toml:1: redis." + strings.Repeat("a", 100) + ": unknown key"},

	// Wrong types.
	{"x.toml", "[redis]\nport = '6379'\n", "x.toml:2: redis.port: must be a whole number, is a string"},
	{"x.toml", "[redis]\nport = 6379.0\n", "x.toml:2: redis.port: must be a whole number, is a number that is not whole, or too large"},
	{"x.toml", "[redis]\nport = 2026-01-01\n", "x.toml:2: redis.port: must be a whole number, is a date or time"},
	{"x.toml", "[redis]\nhost = true\n", "x.toml:2: redis.host: must be a string, is true or false"},
	{"x.toml", "[redis]\npassword = 1234\n", "x.toml:2: redis.password: must be a string, is a whole number"},
	{"x.toml", "[redis]\ntls = 1\n", "x.toml:2: redis.tls: must be a table, is a whole number"},
	{"x.toml", "[[redis]]\nhost = 'x'\n", "x.toml:1: redis: must be a table, is a list"},
	{"x.toml", "[crash]\ncore = 1\n", "x.toml:2: crash.core: must be true or false, is a whole number"},
	{"x.toml", "[app]\nargs = '-v'\n", "x.toml:2: app.args: must be a list of strings, is a string"},
	{"x.toml", "[app]\nargs = [\n  '-v',\n  3,\n\n  [true]\n]\n", "x.toml:2: app.args[2]: must be a string, is a list\nx.toml:4: app.args[1]: must be a string, is a whole number"},
	{"x.toml", "[app]\nenv.A = 1\nenv.B = {}\n", "x.toml:2: app.env.A: must be a string, is a whole number\nx.toml:3: app.env.B: must be a string, is a table"},
	{"x.toml", "[app]\nstop_timeout = 10\n", `x.toml:2: app.stop_timeout: must be a number with a unit, such as "500ms", "10s" or "1m30s", not "10"`},
	{"x.toml", "[app]\nstop_timeout = true\n", "x.toml:2: app.stop_timeout: must be a string, is true or false"},
	{"x.toml", "[app]\nstop_signal = 'SIGFOO'\n", `x.toml:2: app.stop_signal: must be a signal, such as "SIGTERM", "SIGRTMIN+3" or a number from 1 to 64, not "SIGFOO"`},
	{"x.toml", "[logs]\nmax_line = '64K'\n", `x.toml:2: logs.max_line: must be a number of bytes, such as 512, "64KiB" or "10MB", not "64K"`},
	{"x.toml", "[logs]\nmax_line = -1\n", `x.toml:2: logs.max_line: must be a number of bytes, such as 512, "64KiB" or "10MB", not "-1"`},
	{"x.json", `{"app": {"args": [null]}}`, "x.json:1: app.args[0]: must be a string, is null"},
	{"x.json", `{"redis": {"port": 99999999999999999999}}`, "x.json:1: redis.port: must be a whole number, is a number that is not whole, or too large"},

	// The address.
	{"x.toml", "[redis]\nhost = ''\nport = 0\n", "x.toml:3: redis.port: must be from 1 to 65535"},
	{"x.toml", "[redis]\nport = 65536\n", "x.toml:2: redis.port: must be from 1 to 65535"},
	{"x.toml", "[redis]\nhost = 'a:1'\n", "x.toml:2: redis.host: must be a host name or an IP address, without port and brackets"},
	{"x.toml", "[redis]\nhost = '[::1]'\n", "x.toml:2: redis.host: must be a host name or an IP address, without port and brackets"},
	{"x.toml", "[redis]\nhost = 'a'\nsocket = '/x'\n", "x.toml:2: redis.host: redis.socket is the address already" + oneAddress},
	{"x.toml", "[redis]\nport = 1\nurl = 'redis://h'\n", "x.toml:2: redis.port: redis.url is the address already" + oneAddress},
	{"x.toml", "[redis]\nurl = 'redis://h'\nsocket = '/x'\n", "x.toml:3: redis.socket: redis.url is the address already" + oneAddress},
	{"x.toml", "[redis]\nsocket = \"\\u0000\"\n", "x.toml:2: redis.socket: must not have NUL in it"},
	{
		"x.toml", "[redis.sentinel]\nmaster = 'm'\naddrs = ['h:1']\n\n[redis.cluster]\naddrs = ['h:1']\n",
		"x.toml:5: redis.cluster: redis.sentinel is the address already" + oneAddress,
	},
	{"x.toml", "[redis.sentinel]\naddrs = ['h', 'h:1',\n'h:0', ':1']\n", "x.toml:1: redis.sentinel.master: must be set\n" +
		"x.toml:2: redis.sentinel.addrs[0]: must be host:port\n" +
		"x.toml:3: redis.sentinel.addrs[2]: must be host:port\nx.toml:3: redis.sentinel.addrs[3]: must be host:port"},
	{"x.toml", "[redis.sentinel]\nmaster = 'm'\n", "x.toml:1: redis.sentinel.addrs: must have at least one host:port"},
	{"x.toml", "[redis.cluster]\naddrs = []\n", "x.toml:2: redis.cluster.addrs: must have at least one host:port"},
	{"x.toml", "[redis]\nlogs_db = 1\ncluster.addrs = ['h:1']\n", "x.toml:2: redis.logs_db: must be 0: a Redis Cluster has database 0 only"},
	{"x.toml", "[redis]\nlogs_db = -1\nvalues_db = -2\n", "x.toml:2: redis.logs_db: must be at least 0\nx.toml:3: redis.values_db: must be at least 0"},
	{"x.toml", "[redis]\nconnect_timeout = '0s'\n", "x.toml:2: redis.connect_timeout: must be more than 0"},

	// Who we are.
	{"x.toml", "[redis]\nusername = 'u'\npassword = 'p'\nurl = 'redis://u@h'\n", "x.toml:2: redis.username: redis.url gives the user already\nx.toml:3: redis.password: redis.url gives the password already"},
	{"x.toml", "[redis]\npassword = 'p'\npassword_file = 'f'\n", "x.toml:2: redis.password: redis.password_file gives the password already"},
	{"x.toml", "[redis]\nusername = 'u'\nsecrets_dir = 'd'\npassword_file = 'f'\n", "x.toml:2: redis.username: redis.secrets_dir gives the user already\nx.toml:4: redis.password_file: redis.secrets_dir gives the password already"},
	{"x.toml", "[redis.sentinel]\nmaster = 'm'\naddrs = ['h:1']\npassword = 'p'\npassword_file = 'f'\n", "x.toml:4: redis.sentinel.password: redis.sentinel.password_file gives the password already"},
	{"x.toml", "[redis.tls]\ncert_file = 'c'\n", "x.toml:1: redis.tls.key_file: must be set, because redis.tls.cert_file is"},
	{"x.toml", "[redis.tls]\nkey_file = 'c'\n", "x.toml:1: redis.tls.cert_file: must be set, because redis.tls.key_file is"},
	{"x.toml", "[redis.tls]\nserver_name = 'a b'\n", "x.toml:2: redis.tls.server_name: must be a host name or an IP address, without port and brackets"},
	{"x.toml", "[redis]\nurl = 'unix:///x'\ntls = {}\n", "x.toml:3: redis.tls: a Unix socket has no TLS"},

	// The app.
	{"x.toml", "[app]\nexecutable = \"\\u0000\"\ndir = \"\\u0000\"\nuser = \"\\u0000\"\nargs = ['', \"\\u0000\"]\n", "x.toml:2: app.executable: must not have NUL in it\n" +
		"x.toml:3: app.dir: must not have NUL in it\nx.toml:4: app.user: must not have NUL in it\nx.toml:5: app.args[1]: must not have NUL in it"},
	{"x.toml", "[app]\nstream_name = 'my app'\n", "x.toml:2: app.stream_name: " + nameRule},
	{"x.toml", "[app]\nstream_name = '..'\n", "x.toml:2: app.stream_name: " + nameRule},
	{"x.toml", "[app.env]\nA = ''\n\"\" = ''\n\"B=\" = ''\nC = \"\\u0000\"\n", `x.toml:3: app.env."": the name of a variable must not be empty, nor have = or NUL in it` + "\n" +
		`x.toml:4: app.env."B=": the name of a variable must not be empty, nor have = or NUL in it` + "\nx.toml:5: app.env.C: must not have NUL in it"},
	{"x.toml", "[app]\nstop_timeout = '-1s'\n", "x.toml:2: app.stop_timeout: must not be negative"},

	// The other tables.
	{"x.toml", "[logs]\nformat = 'jsn'\nmax_line = 255\nmax_entries = 0\npassthrough = 'allways'\n", `x.toml:2: logs.format: must be text or json, not "jsn" (did you mean json?)` +
		"\nx.toml:3: logs.max_line: must be from 256 bytes to 16MiB\nx.toml:4: logs.max_entries: must be at least 1\n" +
		`x.toml:5: logs.passthrough: must be auto, always or never, not "allways" (did you mean always?)`},
	{"x.toml", "[logs]\nblock_timeout = '0s'\nmax_keys = 0\n", "x.toml:2: logs.block_timeout: must be more than 0 (to have no blocks at all say logs.blocks = false)\n" +
		"x.toml:3: logs.max_keys: must be at least 1 (to have no markers at all say logs.markers = false)"},
	{"x.toml", "[logs]\nmax_line = 16777217\nformat = ''\n", "x.toml:2: logs.max_line: must be from 256 bytes to 16MiB\n" + `x.toml:3: logs.format: must be text or json, not ""`},
	{"x.toml", "[spool]\nsize = 1048575\nwhen_full = 'drop'\ndir = \"\\u0000\"\n", "x.toml:2: spool.size: must be at least 1MiB\n" +
		`x.toml:3: spool.when_full: must be drop_oldest or block, not "drop" (did you mean drop_oldest?)` + "\nx.toml:4: spool.dir: must not have NUL in it"},
	{"x.toml", "[health]\ninterval = '99ms'\n", "x.toml:2: health.interval: must be at least 100ms"},
	{"x.toml", "[health.pools.a-b]\ncap = 1\n", "x.toml:1: health.pools.a-b: the name of a pool must be of letters, digits and _ only"},
	{"x.toml", "[health.pools.\"\"]\ncap = 1\n", `x.toml:1: health.pools."": the name of a pool must be of letters, digits and _ only`},
	{"x.toml", "[health.pools.a]\ninit = 0\n", "x.toml:1: health.pools.a.cap: must be set, and at least 1: heartbeats raise the health up to it"},
	{"x.toml", "[health.pools]\na = { cap = 1, init = -1, depletion_rate = -1, replenish_rate = -1 }\n", "x.toml:2: health.pools.a.init: must be at least 0\n" +
		"x.toml:2: health.pools.a.depletion_rate: must be at least 0\nx.toml:2: health.pools.a.replenish_rate: must be at least 0"},
	{"x.toml", "[health.pools.a]\ncap = 1\nbeat = [\"exec:sh -c 'x\"]\n", "x.toml:3: health.pools.a.beat[0]: must be marker, notify, output, http://…, https://…, tcp://host:port or exec:COMMAND"},
	{"x.toml", "[health.pools.a]\ncap = 1\nca_file = '/x'\n[health.pools.b]\ncap = 1\nbeat = ['http://h']\ninsecure = true\n", "x.toml:3: health.pools.a.ca_file: is for https://… probes, and beat names none\n" +
		"x.toml:7: health.pools.b.insecure: is for https://… probes, and beat names none"},
	{"x.toml", "[health.pools.a]\ncap = 1\nbeat = ['https://h']\nca_file = '/x'\ninsecure = true\n", "x.toml:4: health.pools.a.ca_file: is ignored if insecure is true (say one of them)"},
	{"x.toml", "[health.pools.a]\ncap = 1\nbeat = []\non_depleted = 'stop,dump'\n", "x.toml:3: health.pools.a.beat: must name at least one source of heartbeats\n" +
		`x.toml:4: health.pools.a.on_depleted: must be none, stop, restart, dump, dump,stop or dump,restart, not "stop,dump" (did you mean stop?)`},
	{"x.toml", "[hooks]\ncrash = 's3cret'\ndepleted = 'tcp://h:1'\ngave_up = 'https://u:p@h/'\ndropped = 'exec:'\ntimeout = '0s'\ngaveup = ''\n", "x.toml:2: hooks.crash: must be exec:COMMAND, http://… or https://…\n" +
		"x.toml:3: hooks.depleted: must be exec:COMMAND, http://… or https://…\nx.toml:4: hooks.gave_up: must be exec:COMMAND, http://… or https://…\n" +
		"x.toml:5: hooks.dropped: must be exec:COMMAND, http://… or https://…\nx.toml:6: hooks.timeout: must be more than 0\n" +
		"x.toml:7: hooks.gaveup: unknown key (did you mean hooks.gave_up?)"},
	{"x.toml", "[restart]\npolicy = 'onfailure'\ndelay = '9ms'\nreset_after = '0s'\nlimit = -1\nwindow = '-1s'\n", "x.toml:2: restart.policy: must be no, on-failure or always, not \"onfailure\" (did you mean on-failure?)\n" +
		"x.toml:3: restart.delay: must be at least 10ms\nx.toml:4: restart.reset_after: must be more than 0\n" +
		"x.toml:5: restart.limit: must be from 0 to 1000 (0 is no limit)\nx.toml:6: restart.window: must be more than 0"},
	{"x.toml", "restart.delay = '2m'\nrestart.limit = 1001\nrestart.maxdelay = '2m'\n", "x.toml:1: restart.max_delay: must not be below restart.delay, which is 2m0s\n" +
		"x.toml:2: restart.limit: must be from 0 to 1000 (0 is no limit)\nx.toml:3: restart.maxdelay: unknown key (did you mean restart.max_delay?)"},
	{"x.toml", "[health.pools.a]\ncap = 1\nbeat = ['marker', 'outptu',\n'udp://x', 'exec: ', 'tcp://h', 'http://', 'http://u:p@h']\n", "x.toml:3: health.pools.a.beat[1]: " + beatRule + " (did you mean output?)\n" +
		"x.toml:4: health.pools.a.beat[2]: " + beatRule + "\nx.toml:4: health.pools.a.beat[3]: " + beatRule + "\nx.toml:4: health.pools.a.beat[4]: " + beatRule +
		"\nx.toml:4: health.pools.a.beat[5]: " + beatRule + "\nx.toml:4: health.pools.a.beat[6]: " + beatRule},
	{"x.toml", "[crash]\nbacktrace = 'gbd'\ntimeout = '0s'\ncontext_lines = 10001\n", `x.toml:2: crash.backtrace: must be auto, gdb, builtin or off, not "gbd" (did you mean gdb?)` +
		"\nx.toml:3: crash.timeout: must be more than 0\nx.toml:4: crash.context_lines: must be from 0 to 10000"},
	{"x.toml", "[debug]\nhost = ''\nport = -1\n", "x.toml:2: debug.host: must be a host name or an IP address, without port and brackets\nx.toml:3: debug.port: must be from 1 to 65535"},
}

const (
	oneAddress = " (say only one of redis.url, redis.socket, redis.host, redis.sentinel and redis.cluster)"
	beatRule   = "must be marker, notify, output, http://…, https://…, tcp://host:port or exec:COMMAND"
)

func TestBadFiles(t *testing.T) {
	t.Parallel()
	for _, row := range badFiles {
		c, err := parse(row.name, []byte(row.data))
		if err == nil || err.Error() != row.want {
			t.Errorf("%s\ngot  %v\nwant %s", row.data, err, row.want)
		}
		if c != nil {
			t.Errorf("%s\ngave a Config beside the error", row.data)
		}
	}
}

func TestNotAllIsToldOfAWrongFile(t *testing.T) {
	t.Parallel()
	unknown := func(n int) []byte {
		var b strings.Builder
		for i := range n {
			b.WriteString("xyzzy" + strconv.Itoa(i) + " = 1\n")
		}
		return []byte(b.String())
	}
	_, err := parse("x.toml", unknown(maxErrors))
	if all, _ := errors.AsType[Errors](err); len(all) != maxErrors || strings.Contains(err.Error(), "more") {
		t.Errorf("%d: %v", len(all), err)
	}
	_, err = parse("x.toml", unknown(200))
	if all, _ := errors.AsType[Errors](err); len(all) != maxErrors+1 || !strings.HasSuffix(err.Error(), "\nx.toml: more is wrong than these 50") {
		t.Errorf("%d: %v", len(all), err)
	}
}

// The limits themselves are allowed.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		"[redis]\nport = 1\nlogs_db = 0\nvalues_db = 0\nconnect_timeout = '1ns'",
		"[redis]\nport = 65535\nhost = 'fe80::1%eth0'",
		"[redis]\nhost = 'redis_1.local.'",
		"[redis]\nhost = ''\nurl = 'unix:/x'\nsocket = ''",
		"[redis]\nlogs_db = 0\ncluster.addrs = ['h:1']",
		"[redis]\nurl = 'rediss://h'\ntls = {}",
		"[app]\nstream_name = 'é:a-b_c.d|e'\nstop_timeout = '0s'\nstop_signal = 64",
		"[logs]\nmax_line = 256\nmax_entries = 1",
		"[logs]\nmax_line = '16MiB'",
		"[spool]\nsize = '1MiB'",
		"[health]\ninterval = '100ms'",
		"[health.pools.A_9]\ncap = 1\ninit = 0\nbeat = ['exec:/bin/sh -c true']",
		"[crash]\ncontext_lines = 10000\ntimeout = '1ns'",
	} {
		if _, err := parse("x.toml", []byte(data)); err != nil {
			t.Errorf("%s\n%v", data, err)
		}
	}
}

func TestCheckKnowsNoFile(t *testing.T) {
	t.Parallel()
	c := Default()
	c.Redis = Redis{}
	c.Debug.Port = 0
	const want = "redis.host: must be set, or another address of Redis\n" +
		"redis.connect_timeout: must be more than 0\n" +
		"debug.port: must be from 1 to 65535"
	if err := c.Check(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	c = Default()
	c.App.StopSignal = 0
	if err := c.Check(); err == nil || err.Error() != "app.stop_signal: must be a signal from 1 to 64" {
		t.Errorf("got %v", err)
	}
}

func TestCheckRun(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ executable, stream, name, want string }{
		{"", "", "", "app.executable: must be set: it is what wrapp runs"},
		{"", "x", "x", "app.executable: must be set: it is what wrapp runs"},
		{"/usr/bin/myapp", "", "myapp", ""},
		{"bin/myapp/", "", "myapp", ""},
		{"/usr/bin/myapp", "x", "x", ""},
		{"/opt/my app", "x", "x", ""},
		{"/opt/my app", "", "my app", "app.stream_name: must be set, because the executable's own name will not do: " + nameRule + " (if what follows the blank are arguments, they stand in app.args)"},
		{"/", "", "/", "app.stream_name: must be set, because the executable's own name will not do: " + nameRule},
	} {
		c := Default()
		c.App.Executable, c.App.StreamName = row.executable, row.stream
		if got := c.Name(); got != row.name {
			t.Errorf("%+v: name %q", row, got)
		}
		got := ""
		if err := c.CheckRun(); err != nil {
			got = err.Error()
		}
		if got != row.want {
			t.Errorf("%+v: got %s", row, got)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "..", "a b", "a\tb", "a\x7f", "a{", "}a", "a*", "a?", "[a", "a]", `a\`, "a/b", "a\u00a0b", "a\u200bb", "\x00"} {
		if isName(bad) {
			t.Errorf("%q passes", bad)
		}
	}
}
