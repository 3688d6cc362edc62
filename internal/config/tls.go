package config

import (
	"crypto/tls"
	"crypto/x509"
)

// UsesTLS reports whether connections to Redis are encrypted: redis.tls is set, even if it is
// empty, or the URL begins with rediss.
func (r *Redis) UsesTLS() bool {
	if r.TLS != nil {
		return true
	}
	u, problem := parseURL(r.URL)
	return problem == "" && u.tls
}

// TLSConfig returns the configuration for tls.Client, or nil without TLS. It reads
// certificates and keys at each call, so that the next connection uses renewed ones.
// ServerName is redis.tls.server_name, else the host of the address. With a Sentinel or
// Cluster it may be empty; the caller then sets it to the host that it dials. The error is
// an *Error that names the key and the file.
func (r *Redis) TLSConfig() (*tls.Config, error) {
	if !r.UsesTLS() {
		return nil, nil
	}
	var t TLS
	if r.TLS != nil {
		t = *r.TLS
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if c.ServerName == "" {
		c.ServerName = r.host()
	}
	if t.CAFile != "" {
		pem, err := readPEM("redis.tls.ca_file", t.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &Error{Key: "redis.tls.ca_file", Msg: "no certificate in PEM form in " + t.CAFile}
		}
	}
	if t.CertFile != "" || t.KeyFile != "" {
		pair, err := t.Pair()
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// Pair reads our certificate and its key. The error is as TLSConfig's.
func (t *TLS) Pair() (tls.Certificate, error) {
	cert, err := readPEM("redis.tls.cert_file", t.CertFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readPEM("redis.tls.key_file", t.KeyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		err = &Error{Key: "redis.tls.cert_file", Msg: t.CertFile + " and " + t.KeyFile + " are no pair: " + err.Error()}
	}
	return pair, err
}

// maxPEM bounds, in bytes, a file of certificates.
const maxPEM = 16 << 20

// readPEM reads a file of certificates or a key that key names.
func readPEM(key, file string) ([]byte, error) {
	data, err := readInTime(file, maxPEM)
	if err != nil {
		return nil, &Error{Key: key, Msg: "cannot read " + file + ": " + reason(err)}
	}
	if len(data) > maxPEM {
		return nil, &Error{Key: key, Msg: file + " is longer than 16 MiB"}
	}
	return data, nil
}

// host returns the host of a TCP address, else "".
func (r *Redis) host() string {
	if u, problem := parseURL(r.URL); r.URL != "" && problem == "" {
		return u.host
	}
	return r.Host
}
