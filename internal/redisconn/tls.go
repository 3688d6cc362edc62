package redisconn

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"syscall"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// explain adds to a TLS error the setting that it is about. Other errors stay as they are.
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
		return fmt.Errorf("%w; redis.tls.ca_file is not set, so only the system's authorities are trusted", err)
	case errors.As(err, &hostname):
		return fmt.Errorf("%w; redis.tls.server_name says which name the server's certificate must have", err)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w; this is the server's certificate", err)
	case errors.As(err, &remote) && remote.Op == "remote error":
		return fmt.Errorf("%w%s", err, alerted(remote.Err, t))
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w; the server may not accept %s", err, ours(t))
	}
	return err
}

// alerted explains an alert from the server (RFC 8446, 6.2), or returns "".
func alerted(alert error, t config.TLS) string {
	number := reflect.ValueOf(alert) // its type is private to package tls
	if number.Kind() != reflect.Uint8 {
		return ""
	}
	switch number.Uint() {
	case 40: // handshake_failure: also how TLS 1.2 asks for a certificate
		if t.CertFile == "" {
			return "; it has no cipher in common with us, or wants a certificate of ours (redis.tls.cert_file and redis.tls.key_file)"
		}
		return "; it has no cipher in common with us"
	case 41, 42, 43, 44, 45, 46, 48, 49, 51, 116: // about certificates and signatures
		return "; the server does not accept " + ours(t)
	case 70: // protocol_version
		return "; it speaks no version of TLS that wrapp does, which are 1.2 and later"
	case 71: // insufficient_security
		return "; it wants stronger ciphers than we share"
	case 112: // unrecognized_name
		return "; it does not know the name that we ask for (redis.tls.server_name, or else the host)"
	}
	return ""
}

// ours describes the certificate that we show.
func ours(t config.TLS) string {
	if t.CertFile == "" {
		return "a client without a certificate (redis.tls.cert_file and redis.tls.key_file)"
	}
	text := "redis.tls.cert_file " + t.CertFile
	pair, err := t.Pair()
	if err == nil && pair.Leaf != nil && time.Now().After(pair.Leaf.NotAfter) {
		text += ", which expired on " + pair.Leaf.NotAfter.Format("2006-01-02 15:04:05 MST")
	}
	return text
}
