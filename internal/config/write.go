package config

import (
	"io"

	"github.com/pelletier/go-toml/v2"
)

// Write writes c as TOML: every key with its value, in a fixed order, with the
// addresses and tables left out that were not said, and passwords and paths of hooks masked. Load
// reads it back as c with masks for passwords. The error is that of w.
func (c *Config) Write(w io.Writer) error { return toml.NewEncoder(w).Encode(c.masked()) }

// masked returns a copy of c with masks in the place of passwords. The encoder
// of go-toml does not ask a kind of string for its MarshalText.
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
