// Package config turns a TOML or JSON file, or command-line flags, into one
// checked Config. It finds every mistake that can be found before the app starts, and
// reports it with the file, the line and the key.
package config

// Config is the whole configuration. A Config from Load or Default holds the documented
// defaults for all keys that were not set.
type Config struct {
	Redis   Redis   `toml:"redis"`
	App     App     `toml:"app"`
	Logs    Logs    `toml:"logs"`
	Spool   Spool   `toml:"spool"`
	Health  Health  `toml:"health"`
	Restart Restart `toml:"restart"`
	Hooks   Hooks   `toml:"hooks"`
	Crash   Crash   `toml:"crash"`
	Debug   Debug   `toml:"debug"`
}

// Redis has the address of Redis and our credentials. Exactly one of URL, Socket,
// Host (with Port), Sentinel and Cluster is the address; Host is the default.
//
// An empty string means that the key was not set. In a checked Redis, Host and Port are
// empty unless they are the address.
type Redis struct {
	URL            URL       `toml:"url,omitempty"`
	Socket         string    `toml:"socket,omitempty"`
	Host           string    `toml:"host,omitempty"`
	Port           int       `toml:"port,omitempty"`
	SecretsDir     string    `toml:"secrets_dir"`
	Username       string    `toml:"username"`
	Password       Secret    `toml:"password"`
	PasswordFile   string    `toml:"password_file"`
	LogsDB         int       `toml:"logs_db"`
	ValuesDB       int       `toml:"values_db"`
	ConnectTimeout Duration  `toml:"connect_timeout"`
	TLS            *TLS      `toml:"tls"`
	Sentinel       *Sentinel `toml:"sentinel"`
	Cluster        *Cluster  `toml:"cluster"`

	addressed bool // addressed: a file, flag or environment set the address
}

// TLS turns on TLS, even if it is empty.
type TLS struct {
	CAFile     string `toml:"ca_file"`
	CertFile   string `toml:"cert_file"`
	KeyFile    string `toml:"key_file"`
	ServerName string `toml:"server_name"`
}

// Sentinel finds the master named Master by asking Addrs (host:port).
type Sentinel struct {
	Master       string   `toml:"master"`
	Addrs        []string `toml:"addrs"`
	Username     string   `toml:"username"`
	Password     Secret   `toml:"password"`
	PasswordFile string   `toml:"password_file"`
}

// Cluster finds the nodes of a Redis Cluster by asking Addrs (host:port).
type Cluster struct {
	Addrs []string `toml:"addrs"`
}

// App says what wrapp runs.
type App struct {
	Executable  string            `toml:"executable"`
	Args        []string          `toml:"args"`
	StreamName  string            `toml:"stream_name"`
	User        string            `toml:"user"`
	Dir         string            `toml:"dir"`
	Env         map[string]string `toml:"env"`
	TTY         string            `toml:"tty"` // "no", "stdout" or "both"
	StopSignal  Signal            `toml:"stop_signal"`
	StopTimeout Duration          `toml:"stop_timeout"`
}

// Logs says how lines become entries.
type Logs struct {
	Format      string `toml:"format"`      // "text" or "json"
	MaxLine     Size   `toml:"max_line"`    // bytes; a longer line is split
	MaxEntries  int    `toml:"max_entries"` // XADD MAXLEN ~
	Passthrough string `toml:"passthrough"` // "auto", "always" or "never"

	Markers      bool     `toml:"markers"` // {{key}} is a marker
	Blocks       bool     `toml:"blocks"`  // >>| … |<< is one entry
	BlockTimeout Duration `toml:"block_timeout"`
	MaxKeys      int      `toml:"max_keys"` // most values that markers may name
}

// Spool keeps entries on disk that cannot be delivered yet.
type Spool struct {
	Dir          string   `toml:"dir"`
	Size         Size     `toml:"size"`      // bytes
	WhenFull     string   `toml:"when_full"` // "drop_oldest" or "block"
	DrainTimeout Duration `toml:"drain_timeout"`
}

// Health says which pools wrapp keeps, by category, and how often it publishes them.
type Health struct {
	Interval Duration        `toml:"interval"`
	Pools    map[string]Pool `toml:"pools"`
}

// Pool is the parameters of one health pool; rates are per second (depletion)
// and per beat (replenishment).
type Pool struct {
	Init          int64    `toml:"init"`
	Cap           int64    `toml:"cap"`
	DepletionRate int64    `toml:"depletion_rate"`
	ReplenishRate int64    `toml:"replenish_rate"`
	Beat          []string `toml:"beat"`
	OnDepleted    string   `toml:"on_depleted"`
	CAFile        string   `toml:"ca_file"`  // of https:// beats
	Insecure      bool     `toml:"insecure"` // https:// beats accept any certificate
}

// Restart says whether the app is started again when it has ended.
type Restart struct {
	Policy     string   `toml:"policy"` // "no", "on-failure" or "always"
	Delay      Duration `toml:"delay"`  // before the first restart; doubles up to MaxDelay
	MaxDelay   Duration `toml:"max_delay"`
	ResetAfter Duration `toml:"reset_after"` // a run at least this long goes back to Delay
	Limit      int      `toml:"limit"`       // restarts within Window; 0: no limit
	Window     Duration `toml:"window"`
}

// Hooks says what to call when something happens to the app: a command, which gets JSON on
// its standard input, or a URL, to which wrapp posts it. Empty: nothing.
type Hooks struct {
	Crash    Hook     `toml:"crash"`    // wrapp wrote an entry of :crash
	Depleted Hook     `toml:"depleted"` // a pool has no health left
	GaveUp   Hook     `toml:"gave_up"`  // restart.limit forbids another start
	Dropped  Hook     `toml:"dropped"`  // lines were dropped
	Timeout  Duration `toml:"timeout"`  // of a call
}

// Crash says how wrapp reports the app's crashes.
type Crash struct {
	Core         bool     `toml:"core"`
	Backtrace    string   `toml:"backtrace"` // "auto", "gdb", "builtin" or "off"
	Timeout      Duration `toml:"timeout"`
	KeepCore     bool     `toml:"keep_core"`
	ContextLines int      `toml:"context_lines"`
}

// Debug starts the app paused under gdbserver.
type Debug struct {
	Enabled bool   `toml:"enabled"`
	Host    string `toml:"host"`
	Port    int    `toml:"port"`
}
