package redisconn

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

var tomorrow = time.Now().Add(time.Hour)

// try dials and returns the error.
func try(t *testing.T, r *config.Redis) error {
	t.Helper()
	patient := *r
	patient.ConnectTimeout = config.Duration(2 * time.Minute) // a machine may be busy
	c, err := Dial(t.Context(), &patient, r.LogsDB)
	if err != nil {
		return err
	}
	defer c.Close()
	err = c.Do(t.Context(), c.B().XinfoStream().Key("none").Build()).Error()
	if strings.HasPrefix(Reply(err), "no such key") {
		return nil
	}
	return err
}

// wrong fails the test unless err contains all the texts.
func wrong(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error", what)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v\nwant %q", what, err, text)
		}
	}
	var refused *RefusedError
	if errors.As(err, &refused) {
		t.Errorf("%s: %v would keep the app from starting", what, err)
	}
}

// TestTLS dials servers with good and bad certificates.
func TestTLS(t *testing.T) {
	t.Parallel()
	a, other := redistest.NewAuthority(t), redistest.NewAuthority(t)
	s := redistest.StartTLS(t, a, false, tomorrow, "127.0.0.1", "redis.test")
	r := s.Config().Redis
	with := func(c config.TLS) *config.Redis {
		r := r
		r.TLS = &c
		return &r
	}
	if err := try(t, with(config.TLS{CAFile: a.File})); err != nil {
		t.Error(err)
	}
	if err := try(t, with(config.TLS{CAFile: a.File, ServerName: "redis.test"})); err != nil {
		t.Error(err)
	}
	wrong(t, "another authority", try(t, with(config.TLS{CAFile: other.File})), "unknown authority", "redis.tls.ca_file "+other.File)
	wrong(t, "the system's authorities", try(t, with(config.TLS{})), "unknown authority", "redis.tls.ca_file is not set")
	wrong(t, "another name", try(t, with(config.TLS{CAFile: a.File, ServerName: "else.test"})), "redis.test", "redis.tls.server_name")
	wrong(t, "no file", try(t, with(config.TLS{CAFile: "/none/ca.pem"})), "redis.tls.ca_file: cannot read /none/ca.pem")
	wrong(t, "no TLS", try(t, &r), "dial redis", s.Addr())

	plain := redistest.Start(t).Config().Redis
	plain.TLS = &config.TLS{CAFile: a.File}
	plain.ConnectTimeout = config.Duration(time.Second) // it never answers
	_, err := Dial(t.Context(), &plain, 1)
	wrong(t, "a server without TLS", err, "TLS with")

	url := r
	if err := url.SetURL("rediss://" + s.Addr()); err != nil {
		t.Fatal(err)
	}
	url.TLS = &config.TLS{CAFile: a.File}
	if err := try(t, &url); err != nil {
		t.Error(err)
	}
	expired := redistest.StartTLS(t, a, false, time.Now().Add(-time.Minute), "127.0.0.1").Config().Redis
	expired.TLS = &config.TLS{CAFile: a.File}
	wrong(t, "an expired server", try(t, &expired), "expired", "the server's certificate")
}

// TestMutualTLS dials a server that wants certificates, before and after ours is renewed.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	a, other := redistest.NewAuthority(t), redistest.NewAuthority(t)
	s := redistest.StartTLS(t, a, true, tomorrow, "127.0.0.1")
	r := s.Config().Redis
	r.TLS = &config.TLS{CAFile: a.File}
	wrong(t, "no certificate", try(t, &r), "without a certificate", "redis.tls.cert_file")

	r.TLS.CertFile, r.TLS.KeyFile = other.Issue("foreign", tomorrow)
	wrong(t, "a foreign certificate", try(t, &r), "redis.tls.cert_file "+r.TLS.CertFile)

	r.TLS.CertFile, r.TLS.KeyFile = a.Issue("client", time.Now().Add(-time.Minute))
	wrong(t, "an expired certificate", try(t, &r), "redis.tls.cert_file "+r.TLS.CertFile+", which expired on")
	a.Issue("client", tomorrow) // in place
	if err := try(t, &r); err != nil {
		t.Errorf("renewed: %v", err)
	}
	_, foreignKey := other.Issue("foreign", tomorrow)
	mixed := r
	mixed.TLS = &config.TLS{CAFile: a.File, CertFile: r.TLS.CertFile, KeyFile: foreignKey}
	wrong(t, "another's key", try(t, &mixed), "redis.tls.cert_file", foreignKey)
}

// TestAddresses connects to a socket and by IPv6.
func TestAddresses(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(redistest.SocketDir(t), "redis.sock")
	addresses := []string{"127.0.0.1"}
	l, noIPv6 := net.Listen("tcp6", "[::1]:0")
	if noIPv6 == nil {
		l.Close()
		addresses = append(addresses, "::1")
	}
	s := redistest.Start(t, append([]string{"--unixsocket", socket, "--bind"}, addresses...)...)
	r := s.Config().Redis
	if err := r.SetURL("unix://" + socket); err != nil {
		t.Fatal(err)
	}
	if err := try(t, &r); err != nil {
		t.Error(err)
	}
	r = s.Config().Redis
	r.Host, r.Port, r.Socket = "", 0, socket
	if err := try(t, &r); err != nil {
		t.Error(err)
	}
	if noIPv6 != nil {
		t.Logf("IPv6 is not tried, it is not there: %v", noIPv6)
		return
	}
	r = s.Config().Redis
	r.Host = "::1"
	if err := try(t, &r); err != nil {
		t.Error(err)
	}
}
