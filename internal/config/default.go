package config

import (
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/health/beat"
	"github.com/lpportorino/jettison-base-images/internal/restart"
)

// defaultHost and defaultPort are Redis's address if none was set.
const (
	defaultHost = "localhost"
	defaultPort = 6379
)

// defaultLogsDB and defaultValuesDB are the databases unless Redis is a
// cluster, which has database 0 only.
const (
	defaultLogsDB   = 1
	defaultValuesDB = 2
)

// Default returns the configuration of an empty file. It passes Check, and lacks only the
// executable for CheckRun.
func Default() *Config {
	return &Config{
		Redis: Redis{
			Host:           defaultHost,
			Port:           defaultPort,
			LogsDB:         defaultLogsDB,
			ValuesDB:       defaultValuesDB,
			ConnectTimeout: Duration(time.Second),
		},
		App: App{
			TTY:         "no",
			StopSignal:  Signal(syscall.SIGTERM),
			StopTimeout: Duration(10 * time.Second),
		},
		Logs: Logs{
			Format:       "text",
			MaxLine:      64 << 10,
			MaxEntries:   1000,
			Passthrough:  "auto",
			Markers:      true,
			Blocks:       true,
			BlockTimeout: Duration(30 * time.Second),
			MaxKeys:      10_000,
		},
		Spool: Spool{
			Size:         64 << 20,
			WhenFull:     "drop_oldest",
			DrainTimeout: Duration(3 * time.Second),
		},
		Health: Health{
			Interval: Duration(time.Second),
		},
		Restart: Restart{
			Policy:     restart.Never,
			Delay:      Duration(time.Second),
			MaxDelay:   Duration(time.Minute),
			ResetAfter: Duration(time.Minute),
			Window:     Duration(10 * time.Minute),
		},
		Hooks: Hooks{
			Timeout: Duration(5 * time.Second),
		},
		Crash: Crash{
			Core:         true,
			Backtrace:    "auto",
			Timeout:      Duration(30 * time.Second),
			ContextLines: 50,
		},
		Debug: Debug{
			Host: "127.0.0.1",
			Port: 2345,
		},
	}
}

// complete sets the defaults that depend on other keys. said reports whether a key, given by
// its whole name, stands in the file.
func (c *Config) complete(said func(key string) bool) {
	r := &c.Redis
	elsewhere := r.URL != "" || r.Socket != "" || r.Sentinel != nil || r.Cluster != nil
	r.addressed = elsewhere || said("redis.host") && r.Host != "" || said("redis.port")
	if elsewhere && !said("redis.host") {
		r.Host = ""
	}
	if elsewhere && !said("redis.port") {
		r.Port = 0
	}
	if !elsewhere && r.Host == "" {
		r.Host = defaultHost
	}
	if r.Cluster != nil && !said("redis.logs_db") {
		r.LogsDB = 0
	}
	if r.Cluster != nil && !said("redis.values_db") {
		r.ValuesDB = 0
	}
	for category, p := range c.Health.Pools {
		key := join("health.pools", category)
		if !said(key + ".init") {
			p.Init = p.Cap
		}
		if !said(key + ".beat") {
			p.Beat = []string{beat.Marker}
		}
		if !said(key + ".on_depleted") {
			p.OnDepleted = "none"
		}
		c.Health.Pools[category] = p
	}
}
