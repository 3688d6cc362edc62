package config

// pending lists what can be said but has no effect yet. A row goes when the work
// is done; a key at its default is not worth a word.
var pending = []struct {
	said     func(c, defaults *Config) bool
	sentence string
}{
	{
		func(c, d *Config) bool { return c.Redis.Sentinel != nil },
		"redis.sentinel is not supported yet",
	},
	{
		func(c, d *Config) bool { return c.Redis.Cluster != nil },
		"redis.cluster is not supported yet",
	},
	{
		func(c, d *Config) bool { return c.Logs.Format != d.Logs.Format },
		"logs.format has no effect yet: entries are text",
	},
	{
		func(c, d *Config) bool { return len(c.Health.Pools) > 0 },
		"health.pools has no effect yet: no pool is kept",
	},
	{
		func(c, d *Config) bool { return c.Crash.Core != d.Crash.Core },
		"crash.core has no effect yet",
	},
	{
		func(c, d *Config) bool { return c.Crash.Backtrace != d.Crash.Backtrace },
		"crash.backtrace has no effect yet",
	},
	{
		func(c, d *Config) bool { return c.Crash.Timeout != d.Crash.Timeout },
		"crash.timeout has no effect yet",
	},
	{
		func(c, d *Config) bool { return c.Crash.KeepCore != d.Crash.KeepCore },
		"crash.keep_core has no effect yet",
	},
	{
		func(c, d *Config) bool { return c.Crash.ContextLines != d.Crash.ContextLines },
		"crash.context_lines has no effect yet",
	},
	{
		func(c, d *Config) bool { return c.Debug.Enabled },
		"debug.enabled has no effect yet: the app is not started under gdbserver",
	},
}

// Pending returns one sentence, which begins with the key, for each thing c says
// that this version does not act on.
func (c *Config) Pending() []string {
	defaults := Default()
	var sentences []string
	for _, p := range pending {
		if p.said(c, defaults) {
			sentences = append(sentences, p.sentence)
		}
	}
	return sentences
}
