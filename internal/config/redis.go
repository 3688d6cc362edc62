package config

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// maxSecret bounds, in bytes, how much of a password file is read.
const maxSecret = 64 << 10

// SetURL replaces the address by raw, the value of the flag --redis. A user in it replaces the
// credentials; otherwise they stay, as do the files of redis.tls. The error is an *Error that
// names --redis and shows nothing of raw.
func (r *Redis) SetURL(raw string) error { return r.setURL("--redis", raw) }

// UseEnvironment makes REDIS_URL the address if neither a file nor SetURL has set one. The
// error is an *Error that names REDIS_URL and shows nothing of its value.
func (r *Redis) UseEnvironment(getenv func(string) string) error {
	const name = "REDIS_URL"
	raw := getenv(name)
	if raw == "" || r.addressed {
		return nil
	}
	return r.setURL(name, raw)
}

func (r *Redis) setURL(key, raw string) error {
	u, problem := parseURL(URL(raw))
	if problem != "" {
		return &Error{Key: key, Msg: problem}
	}
	r.addressed = true
	if r.Cluster != nil {
		r.LogsDB, r.ValuesDB = defaultLogsDB, defaultValuesDB
	}
	r.URL = URL(raw)
	r.Socket, r.Host, r.Port, r.Sentinel, r.Cluster = "", "", 0, nil, nil
	if u.user != nil {
		r.Username, r.Password, r.PasswordFile, r.SecretsDir = "", "", "", ""
	}
	if u.network == "unix" {
		r.TLS = nil
	}
	return nil
}

// Address returns the arguments of net.Dial: "tcp" and host:port, or "unix" and a path. Both
// are empty for a Sentinel or Cluster, whose address must be asked for, and for a URL that
// Check refuses.
func (r *Redis) Address() (network, addr string) {
	switch {
	case r.URL != "":
		u, problem := parseURL(r.URL)
		if problem != "" {
			return "", ""
		}
		return u.network, u.address
	case r.Socket != "":
		return "unix", r.Socket
	case r.Sentinel != nil, r.Cluster != nil, r.Host == "":
		return "", ""
	}
	return "tcp", net.JoinHostPort(r.Host, strconv.Itoa(r.Port))
}

// Credentials returns the user and password for Redis, each "" if it is not set.
// It reads files at each call, so that the next connection uses a renewed password. The error
// is an *Error that names the key and the file.
func (r *Redis) Credentials() (username, password string, err error) {
	switch {
	case r.SecretsDir != "":
		return r.secretsDir()
	case r.PasswordFile != "":
		password, err = FirstLine("redis.password_file", r.PasswordFile)
		return r.Username, password, err
	case r.Password != "":
		return r.Username, r.Password.Reveal(), nil
	}
	if r.URL != "" {
		u, problem := parseURL(r.URL)
		if problem != "" {
			return "", "", &Error{Key: "redis.url", Msg: problem}
		}
		if u.user != nil {
			password, _ = u.user.Password()
			return u.user.Username(), password, nil
		}
	}
	return r.Username, "", nil
}

// secretsDir reads the credentials of a directory: its base name is the user, its file
// password holds the password.
func (r *Redis) secretsDir() (username, password string, err error) {
	dir, err := filepath.Abs(r.SecretsDir)
	if err != nil {
		return "", "", &Error{Key: "redis.secrets_dir", Msg: "the working directory is unknown: " + reason(err)}
	}
	if dir == "/" {
		return "", "", &Error{Key: "redis.secrets_dir", Msg: "must end in the name of the user"}
	}
	password, err = FirstLine("redis.secrets_dir", filepath.Join(dir, "password"))
	if err != nil {
		return "", "", err
	}
	return filepath.Base(dir), password, nil
}

// Credentials returns the user and password for the sentinels, like
// Redis.Credentials.
func (s *Sentinel) Credentials() (username, password string, err error) {
	if s.PasswordFile == "" {
		return s.Username, s.Password.Reveal(), nil
	}
	password, err = FirstLine("redis.sentinel.password_file", s.PasswordFile)
	return s.Username, password, err
}

// FirstLine returns the first line of a file that key names. An empty line is an error: the
// file is not written yet.
func FirstLine(key, file string) (string, error) {
	data, err := readInTime(file, maxSecret)
	if err != nil {
		return "", &Error{Key: key, Msg: "cannot read " + file + ": " + reason(err)}
	}
	line, _, _ := bytes.Cut(bytes.TrimPrefix(data, []byte("\uFEFF")), []byte("\n"))
	line = bytes.TrimRight(line, "\r")
	if len(line) == 0 {
		return "", &Error{Key: key, Msg: "the first line of " + file + " is empty"}
	}
	if len(line) > maxSecret {
		return "", &Error{Key: key, Msg: "the first line of " + file + " is longer than 64 KiB"}
	}
	return string(line), nil
}

// readWithin is how long a file with a secret or certificates may take. To open a pipe, or a file on
// a server that is away, may take for ever.
const readWithin = 2 * time.Second

// reading has a channel for each file name, full while that file is read: a read that hangs holds
// a thread, so there is one at a time.
var reading sync.Map

// readInTime is readBounded for at most readWithin.
func readInTime(path string, limit int64) ([]byte, error) {
	one, _ := reading.LoadOrStore(path, make(chan struct{}, 1))
	slot := one.(chan struct{})
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	late := time.After(readWithin)
	select {
	case slot <- struct{}{}:
		go func() {
			data, err := readBounded(path, limit)
			<-slot
			done <- result{data, err}
		}()
	case <-late:
		return nil, errLate
	}
	select {
	case r := <-done:
		return r.data, r.err
	case <-late:
		return nil, errLate
	}
}

var errLate = errors.New("no answer within " + readWithin.String())
