package config

import "github.com/lpportorino/jettison-base-images/internal/address"

func (r *Redis) check(e *Errors) {
	r.checkAddress(e)
	r.checkUser(e)
	r.checkDB(e, "redis.logs_db", r.LogsDB)
	r.checkDB(e, "redis.values_db", r.ValuesDB)
	checkPositive(e, "redis.connect_timeout", r.ConnectTimeout)
	if t := r.TLS; t != nil {
		r.checkTLS(e, t)
	}
	if s := r.Sentinel; s != nil {
		if s.Master == "" {
			e.add("redis.sentinel.master", "must be set", "")
		}
		checkAddrs(e, "redis.sentinel.addrs", s.Addrs)
		if s.Password != "" && s.PasswordFile != "" {
			e.add("redis.sentinel.password", "redis.sentinel.password_file gives the password already", "")
		}
	}
	if r.Cluster != nil {
		checkAddrs(e, "redis.cluster.addrs", r.Cluster.Addrs)
	}
}

// checkAddress checks that exactly one kind of address is set, and is valid.
func (r *Redis) checkAddress(e *Errors) {
	first := onlyOne(e, " is the address already", "say only one of redis.url, redis.socket, redis.host, redis.sentinel and redis.cluster", []source{
		{"redis.url", r.URL != ""},
		{"redis.socket", r.Socket != ""},
		{"redis.sentinel", r.Sentinel != nil},
		{"redis.cluster", r.Cluster != nil},
		{"redis.host", r.Host != ""},
		{"redis.port", r.Port != 0 && r.Host == ""},
	})
	switch first {
	case "", "redis.port":
		e.add("redis.host", "must be set, or another address of Redis", "")
	case "redis.host":
		checkHost(e, "redis.host", r.Host)
		checkPort(e, "redis.port", r.Port)
	case "redis.url":
		if _, problem := parseURL(r.URL); problem != "" {
			e.add("redis.url", problem, "")
		}
	}
}

// checkUser checks that user and password have one source each at most.
func (r *Redis) checkUser(e *Errors) {
	u, problem := parseURL(r.URL)
	first := onlyOne(e, " gives the password already", "", []source{
		{"redis.url", problem == "" && u.user != nil},
		{"redis.secrets_dir", r.SecretsDir != ""},
		{"redis.password_file", r.PasswordFile != ""},
		{"redis.password", r.Password != ""},
	})
	if r.Username != "" && (first == "redis.url" || first == "redis.secrets_dir") {
		e.add("redis.username", first+" gives the user already", "")
	}
}

// A source is a key that may be set where only one of several may.
type source struct {
	key string
	set bool
}

// onlyOne returns the first key that is set, and records the others: problem follows the first
// one's name.
func onlyOne(e *Errors, problem, hint string, sources []source) (first string) {
	for _, s := range sources {
		switch {
		case !s.set:
		case first == "":
			first = s.key
		default:
			e.add(s.key, first+problem, hint)
		}
	}
	return first
}

func (r *Redis) checkDB(e *Errors, key string, db int) {
	if db < 0 {
		e.add(key, "must be at least 0", "")
	} else if r.Cluster != nil && db != 0 {
		e.add(key, "must be 0: a Redis Cluster has database 0 only", "")
	}
}

func (r *Redis) checkTLS(e *Errors, t *TLS) {
	if t.CertFile != "" && t.KeyFile == "" {
		e.add("redis.tls.key_file", "must be set, because redis.tls.cert_file is", "")
	}
	if t.KeyFile != "" && t.CertFile == "" {
		e.add("redis.tls.cert_file", "must be set, because redis.tls.key_file is", "")
	}
	if t.ServerName != "" {
		checkHost(e, "redis.tls.server_name", t.ServerName)
	}
	if network, _ := r.Address(); network == "unix" {
		e.add("redis.tls", "a Unix socket has no TLS", "")
	}
}

func checkAddrs(e *Errors, key string, addrs []string) {
	if len(addrs) == 0 {
		e.add(key, "must have at least one host:port", "")
	}
	for i, addr := range addrs {
		if !address.IsHostPort(addr) {
			e.add(elementOf(key, i), "must be host:port", "")
		}
	}
}
