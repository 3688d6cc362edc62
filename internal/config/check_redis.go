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
	first := ""
	for _, kind := range []struct {
		key  string
		said bool
	}{
		{"redis.url", r.URL != ""},
		{"redis.socket", r.Socket != ""},
		{"redis.sentinel", r.Sentinel != nil},
		{"redis.cluster", r.Cluster != nil},
		{"redis.host", r.Host != ""},
		{"redis.port", r.Port != 0 && r.Host == ""},
	} {
		if !kind.said {
			continue
		}
		if first != "" {
			e.add(kind.key, first+" is the address already",
				"say only one of redis.url, redis.socket, redis.host, redis.sentinel and redis.cluster")
			continue
		}
		first = kind.key
	}
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
	inURL := false
	if u, problem := parseURL(r.URL); r.URL != "" && problem == "" {
		inURL = u.user != nil
	}
	source := ""
	for _, one := range []struct {
		key  string
		said bool
	}{
		{"redis.url", inURL},
		{"redis.secrets_dir", r.SecretsDir != ""},
		{"redis.password_file", r.PasswordFile != ""},
		{"redis.password", r.Password != ""},
	} {
		if one.said && source != "" {
			e.add(one.key, source+" gives the password already", "")
		} else if one.said {
			source = one.key
		}
	}
	if r.Username != "" && (source == "redis.url" || source == "redis.secrets_dir") {
		e.add("redis.username", source+" gives the user already", "")
	}
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
