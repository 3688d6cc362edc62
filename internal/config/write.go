package config

import (
	"io"
	"maps"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Write writes c as TOML: every key with its value, in a fixed order, with the
// addresses and tables left out that were not said, and secrets masked. Load reads
// it back as c with masks for secrets. The error is that of w.
func (c *Config) Write(w io.Writer) error {
	return toml.NewEncoder(w).Encode(c.masked())
}

// masked returns a copy of c with a mask in the place of each secret, also of
// those within URLs.
func (c *Config) masked() *Config {
	m := *c
	m.Redis.Password = Secret(c.Redis.Password.String())
	if c.Redis.URL != "" {
		m.Redis.URL = maskURL(c.Redis.URL)
	}
	if c.Redis.Sentinel != nil {
		sentinel := *c.Redis.Sentinel
		sentinel.Password = Secret(sentinel.Password.String())
		m.Redis.Sentinel = &sentinel
	}
	m.Health.Pools = maps.Clone(c.Health.Pools)
	for category, p := range m.Health.Pools {
		p.Beat = slices.Clone(p.Beat)
		for i, beat := range p.Beat {
			if isHTTP(beat) {
				p.Beat[i] = maskURL(beat)
			}
		}
		m.Health.Pools[category] = p
	}
	return &m
}
