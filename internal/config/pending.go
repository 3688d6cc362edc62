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
