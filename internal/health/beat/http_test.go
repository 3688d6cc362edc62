package beat

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHTTPS asks a server with a trusted certificate, also under a wrong name. No other
// test of the package may check a certificate before it: the system's authorities are read
// once.
func TestHTTPS(t *testing.T) {
	over := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/never":
			<-over
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	defer close(over)
	known := filepath.Join(t.TempDir(), "known.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(known, block, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", known)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for target, want := range map[string]string{
		server.URL:                  "",
		server.URL + "/bad?x":       "HTTP status 503",
		"https://localhost:" + port: ", not localhost",
		"http://127.0.0.1:" + port:  "HTTP status 400",
		"https://127.0.0.1:1":       "connection refused",
	} {
		err := probeHTTP(t.Context(), target, App{})
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
	// With the pool's own authority; with any certificate; with neither.
	t.Setenv("SSL_CERT_FILE", "/dev/null")
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.TLS = &tls.Config{Certificates: []tls.Certificate{ownCertificate(t)}}
	other.Config.ErrorLog = log.New(io.Discard, "", 0)
	other.StartTLS()
	defer other.Close()
	own := filepath.Join(t.TempDir(), "own.pem")
	block = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.TLS.Certificates[0].Certificate[0]})
	if err := os.WriteFile(own, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		app  App
		want string
	}{
		{App{CAFile: own}, "HTTP status 404"},
		{App{Insecure: true}, "HTTP status 404"},
		{App{}, "unknown authority"},
		{App{CAFile: known}, "unknown authority"},
		{App{CAFile: "/none"}, "ca_file: open /none: no such file"},
	} {
		if err := probeHTTP(t.Context(), other.URL, tt.app); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, insecure %v: %v, want %q", tt.app.CAFile, tt.app.Insecure, err, tt.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := probeHTTP(ctx, server.URL+"/never", App{}); err == nil {
		t.Error("no answer is one")
	}
}

// ownCertificate makes a self-signed certificate for 127.0.0.1.
func ownCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}
