package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each of these is in testdata as TOML and as JSON, with the same meaning.
var pairs = []string{"contract", "other", "url", "socket", "sentinel", "cluster"}

func mustLoad(t *testing.T, file string) *Config {
	t.Helper()
	c, err := Load(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBothFormatsMeanTheSame(t *testing.T) {
	t.Parallel()
	for _, name := range pairs {
		fromTOML, fromJSON := mustLoad(t, name+".toml"), mustLoad(t, name+".json")
		if !reflect.DeepEqual(fromTOML, fromJSON) {
			t.Errorf("%s: TOML and JSON differ:\n%+v\n%+v", name, fromTOML, fromJSON)
		}
	}
}

// Every key is in one of the pairs, in both formats.
func TestEveryKeyIsTried(t *testing.T) {
	t.Parallel()
	for ext, read := range map[string]func([]byte) document{".toml": readTOML, ".json": readJSON} {
		said := map[string]bool{}
		for _, name := range pairs {
			data, err := os.ReadFile(filepath.Join("testdata", name+ext))
			if err != nil {
				t.Fatal(err)
			}
			for key := range read(data).lines {
				said[strings.Replace(key, "health.pools.api", "health.pools.*", 1)] = true
			}
		}
		for _, key := range Keys() {
			// "password": null means not set; another file sets it.
			if !said[key] {
				t.Errorf("no %s file has %s", ext, key)
			}
		}
	}
}

func TestContractSaysTheDefaults(t *testing.T) {
	t.Parallel()
	want := Default()
	want.Redis.addressed = true
	want.Redis.TLS = &TLS{}
	want.App.Executable = "/usr/bin/myapp"
	want.App.Args = []string{"--config", "/etc/myapp.conf"}
	want.App.StreamName = "myapp"
	want.Health.Pools = map[string]Pool{"api": {
		Init: 1500, Cap: 1000, DepletionRate: 100, ReplenishRate: 15,
		Beat: []string{"marker"}, OnDepleted: "none",
	}}
	if got := mustLoad(t, "contract.toml"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestOtherValues(t *testing.T) {
	t.Parallel()
	want := &Config{
		Redis: Redis{
			addressed: true, Host: "redis.example", Port: 6380, Username: "writer", PasswordFile: "/run/secrets/redis",
			LogsDB: 3, ValuesDB: 4, ConnectTimeout: Duration(250 * time.Millisecond),
			TLS: &TLS{CAFile: "/etc/ca.pem", CertFile: "/etc/c.pem", KeyFile: "/etc/k.pem", ServerName: "redis"},
		},
		App: App{
			Executable: "myapp", StreamName: "wrapp:myapp", User: "archer", Dir: "/srv",
			Env: map[string]string{"LANG": "C.UTF-8", "_A": "a variable, not a comment", "with.dot": ""},
			TTY: "both", StopSignal: Signal(syscall.SIGINT), StopTimeout: Duration(90 * time.Second),
		},
		Logs:  Logs{Format: "json", MaxLine: 4096, MaxEntries: 5, Passthrough: "never", BlockTimeout: Duration(5 * time.Second), MaxKeys: 7},
		Spool: Spool{Dir: "/var/spool", Size: 1e9, WhenFull: "block", DrainTimeout: Duration(500 * time.Millisecond)},
		Health: Health{Interval: Duration(100 * time.Millisecond), Pools: map[string]Pool{
			"api": {Init: 10, Cap: 10, Beat: []string{"marker"}, OnDepleted: "none"},
			"worker_2": {
				Init: 0, Cap: 1, DepletionRate: 7, ReplenishRate: 8, OnDepleted: "dump,stop",
				Beat:   []string{"notify", "output", "http://127.0.0.1:8080/ok?x=1", "https://h/", "tcp://[::1]:80", "exec:true"},
				CAFile: "/etc/pool.pem",
			},
		}},
		Restart: Restart{
			Policy: "on-failure", Delay: Duration(250 * time.Millisecond), MaxDelay: Duration(2 * time.Second),
			ResetAfter: Duration(30 * time.Second), Limit: 5, Window: Duration(time.Hour),
		},
		Hooks: Hooks{
			Crash: "exec:notify --crash", Depleted: "http://127.0.0.1:8080/d?x=1", GaveUp: "https://h/", Dropped: "exec:logger 'lines dropped'",
			Timeout: Duration(250 * time.Millisecond),
		},
		Crash: Crash{Backtrace: "builtin", Timeout: Duration(time.Millisecond), KeepCore: true},
		Debug: Debug{Enabled: true, Host: "::", Port: 65535},
	}
	if got := mustLoad(t, "other.toml"); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAddressesTakeThePlaceOfTheDefault(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]Redis{
		"url.toml":    {URL: "rediss://user:s%23cret@[::1]:6390", LogsDB: 1, ValuesDB: 2},
		"socket.toml": {Socket: "/run/redis.sock", SecretsDir: "/run/secrets/app", LogsDB: 1, ValuesDB: 2},
		"sentinel.toml": {Password: "secret", LogsDB: 1, ValuesDB: 2, Sentinel: &Sentinel{
			Master: "mymaster", Addrs: []string{"127.0.0.1:26379", "[::1]:26379"}, Username: "watcher", Password: "other",
		}},
		"cluster.toml": {Cluster: &Cluster{Addrs: []string{"127.0.0.1:7000"}}},
		"older.json":   {Host: "127.0.0.1", Port: 6379, Password: "old-secret", LogsDB: 1, ValuesDB: 2},
		"older.toml":   {Host: "127.0.0.1", Port: 6379, SecretsDir: "/run/secrets/myapp", LogsDB: 1, ValuesDB: 2},
	} {
		want.ConnectTimeout, want.addressed = Duration(time.Second), true
		if got := mustLoad(t, file).Redis; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", file, got, want)
		}
	}
}

func TestFormatIsToldByNameThenByContent(t *testing.T) {
	t.Parallel()
	const asTOML, asJSON = "[debug]\nport = 1\n", "\r\n\t {\"debug\": {\"port\": 1}}"
	for _, row := range []struct {
		file, data string
		ok         bool
	}{
		{"x.toml", asTOML, true},
		{"x.json", asJSON, true},
		{"x.JSON", asJSON, true},
		{"x.conf", asTOML, true},
		{"x.conf", asJSON, true},
		{"x", "\uFEFF" + asJSON, true},
		{"x", "\uFEFF" + asTOML, true},
		{"x.json", "\uFEFF" + asJSON, true},
		{"x.json", asTOML, false},
		{"x.toml", asJSON, false},
	} {
		c, err := parse(row.file, []byte(row.data))
		if (err == nil) != row.ok {
			t.Errorf("%s: %q: error %v", row.file, row.data, err)
		}
		if err == nil && c.Debug.Port != 1 {
			t.Errorf("%s: %q: debug.port is %d", row.file, row.data, c.Debug.Port)
		}
	}
}

func TestEmptyFileIsTheDefault(t *testing.T) {
	t.Parallel()
	for file, data := range map[string]string{"x.toml": "", "x": " \n", "x.json": "{}"} {
		got, err := parse(file, []byte(data))
		if err != nil || !reflect.DeepEqual(got, Default()) {
			t.Errorf("%s: %+v, %v", file, got, err)
		}
	}
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ file, want string }{
		{filepath.Join(dir, "none"), "none: cannot be read: no such file or directory"},
		{dir, ": cannot be read: is a directory"},
		{large, "large: is larger than 1 MiB: is this a configuration file?"},
	} {
		_, err := Load(row.file)
		if err == nil || !strings.HasSuffix(err.Error(), row.want) {
			t.Errorf("got %v, want %s", err, row.want)
		}
		if e, ok := errors.AsType[*Error](err); !ok || e.File != row.file {
			t.Errorf("%v is no *Error of %s", err, row.file)
		}
	}
}

func TestKnownKeysHaveNames(t *testing.T) {
	t.Parallel()
	keys := Keys()
	for _, key := range []string{"redis", "redis.tls.ca_file", "health.pools", "health.pools.*.beat", "app.env", "debug.port"} {
		if !slices.Contains(keys, key) {
			t.Errorf("no %s among %v", key, keys)
		}
	}
	for _, key := range keys {
		if strings.HasSuffix(key, ".") || strings.Contains(key, "..") {
			t.Errorf("a field has no toml tag: %q", key)
		}
	}
}
