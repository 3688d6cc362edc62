package config

import (
	"io"

	"github.com/pelletier/go-toml/v2"
)

// Write writes c as TOML: every key with its value, in a fixed order. It leaves out addresses
// and tables that were not set, and masks passwords and the paths of hooks. Load reads it
// back as c with these masks. The error is that of w.
func (c *Config) Write(w io.Writer) error { return toml.NewEncoder(w).Encode(c.masked()) }

// masked returns a copy of c with its secrets masked: the encoder of go-toml ignores
// MarshalText of types whose kind is string.
func (c *Config) masked() *Config {
	m := *c
	m.Redis.URL = URL(c.Redis.URL.String())
	m.Redis.Password = Secret(c.Redis.Password.String())
	if c.Redis.Sentinel != nil {
		s := *c.Redis.Sentinel
		s.Password = Secret(s.Password.String())
		m.Redis.Sentinel = &s
	}
	for _, hook := range []*Hook{&m.Hooks.Crash, &m.Hooks.Depleted, &m.Hooks.GaveUp, &m.Hooks.Dropped} {
		*hook = Hook(hook.String())
	}
	return &m
}
