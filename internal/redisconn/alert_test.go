package redisconn

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestAlerts dials servers that refuse TLS for different reasons: the error blames our
// certificate only if that is the reason.
func TestAlerts(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	certFile, keyFile := a.Issue("server", tomorrow, "127.0.0.1")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	ourCert, ourKey := a.Issue("ours", tomorrow)
	certificates := []tls.Certificate{pair}
	for name, tt := range map[string]struct {
		server *tls.Config
		says   string
		blames bool
	}{
		"version": {
			&tls.Config{Certificates: certificates, MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11},
			"protocol version not supported; it speaks no version of TLS that wrapp does, which are 1.2 and later", false,
		},
		"cipher": {
			&tls.Config{Certificates: certificates, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}},
			"handshake failure; it has no cipher in common with us", false,
		},
		"name": {
			&tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }},
			"unrecognized name; it does not know the name that we ask for (redis.tls.server_name", false,
		},
		"certificate": {
			&tls.Config{Certificates: certificates, MaxVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, VerifyConnection: func(tls.ConnectionState) error { return errors.New("not ours") }},
			"bad certificate; the server does not accept redis.tls.cert_file " + ourCert, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener, err := tls.Listen("tcp", "127.0.0.1:0", tt.server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						io.Copy(io.Discard, conn)
					}()
				}
			}()
			r := config.Default().Redis
			r.Host, r.Port = "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
			r.TLS = &config.TLS{CAFile: a.File, CertFile: ourCert, KeyFile: ourKey}
			err = try(t, &r)
			wrong(t, name, err, tt.says)
			if blamed := strings.Contains(err.Error(), ourCert); blamed != tt.blames {
				t.Errorf("blames our certificate: %v", err)
			}
		})
	}
}

// TestVisit asks a server for databases that it has and that it lacks.
func TestVisit(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--databases", "3")
	c, err := Dial(t.Context(), &s.Config().Redis, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for db, want := range map[int]bool{0: true, 1: true, 2: true, 3: false, 99: false} {
		if _, _, has := c.Visit(t.Context(), db, 1, nil, nil); has != want {
			t.Errorf("database %d: %v", db, has)
		}
	}
	// The connection is back on its own database.
	if err := c.Do(t.Context(), c.B().Set().Key("k").Value("v").Build()).Error(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Dial(1).Do("EXISTS", "k"); err != nil || n != int64(1) {
		t.Errorf("%v, %v", n, err)
	}
}
