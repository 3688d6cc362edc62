package health

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHTTPS asks a server of which the certificate is known, and names it otherwise. No
// other test of the package may look at a certificate before it: the known ones are read
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
		err := probeHTTP(t.Context(), nil, target)
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", target, err, want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := probeHTTP(ctx, nil, server.URL+"/never"); err == nil {
		t.Error("no answer is one")
	}
}
