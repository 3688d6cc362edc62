package redisconn

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// explain adds to an error of TLS which setting it is about, and to no other.
func explain(err error, r *config.Redis) error {
	if !r.UsesTLS() {
		return err
	}
	var t config.TLS
	if r.TLS != nil {
		t = *r.TLS
	}
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		remote   *net.OpError
	)
	switch {
	case errors.As(err, &unknown) && t.CAFile != "":
		return fmt.Errorf("%w; redis.tls.ca_file %s has not signed the server's certificate", err, t.CAFile)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; redis.tls.ca_file is not said, so only the system's authorities are trusted", err)
	case errors.As(err, &hostname):
		return fmt.Errorf("%w; redis.tls.server_name says which name the server's certificate must have", err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w; this is the server's certificate", err)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return fmt.Errorf("%w; the server does not accept %s", err, ours(t))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w; the server may not accept %s", err, ours(t))
	}
	return err
}

// ours describes the certificate that we show.
func ours(t config.TLS) string {
	if t.CertFile == "" {
		return "a client without a certificate (redis.tls.cert_file and redis.tls.key_file)"
	}
	text := "redis.tls.cert_file " + t.CertFile
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err == nil && pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		text += ", which expired on " + pair.Leaf.NotAfter.Format("2006-01-02 15:04:05 MST")
	}
	return text
}
