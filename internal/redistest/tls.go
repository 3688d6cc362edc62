package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An Authority signs certificates.
type Authority struct {
	t    testing.TB
	File string // its own certificate, in PEM form
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes an authority with a new key.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, File: filepath.Join(t.TempDir(), "ca.pem")}
	a.cert = template("test authority", time.Now().Add(time.Hour))
	a.cert.IsCA, a.cert.BasicConstraintsValid = true, true
	a.cert.KeyUsage |= x509.KeyUsageCertSign
	a.key = a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, a.key.Public(), a.key)
	a.write(a.File, "CERTIFICATE", der, err)
	return a
}

// Issue writes a certificate for hosts, valid until then, and its key to name.pem and
// name.key. It replaces an earlier certificate of that name.
func (a *Authority) Issue(name string, until time.Time, hosts ...string) (certFile, keyFile string) {
	a.t.Helper()
	cert := template(name, until)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	key := a.newKey()
	dir := filepath.Dir(a.File)
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+".key")
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, key.Public(), a.key)
	a.write(certFile, "CERTIFICATE", der, err)
	der, err = x509.MarshalPKCS8PrivateKey(key)
	a.write(keyFile, "PRIVATE KEY", der, err)
	return certFile, keyFile
}

func template(name string, until time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-2 * time.Hour),
		NotAfter:     until,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

func (a *Authority) write(file, kind string, der []byte, err error) {
	a.t.Helper()
	if err == nil {
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// Args returns the arguments of a server that speaks only TLS, on that port, with a
// certificate for hosts. If mutual, clients must show certificates, too.
func (a *Authority) Args(port string, mutual bool, until time.Time, hosts ...string) []string {
	cert, key := a.Issue("server", until, hosts...)
	clients := "no"
	if mutual {
		clients = "yes"
	}
	return []string{
		"--port", "0", "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", a.File, "--tls-auth-clients", clients,
		"--tls-replication", "yes", "--tls-cluster", "yes",
	}
}

// Client returns the TLS configuration of a test's own connections.
func (a *Authority) Client() *tls.Config {
	cert, key := a.Issue("test-client", time.Now().Add(time.Hour))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		a.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(a.File)
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		a.t.Fatalf("the authority's certificate: %v", err)
	}
	// Checking the name is left to the code under test.
	return &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}
}

// StartTLS starts a server that speaks only TLS; see Authority.Args.
func StartTLS(t testing.TB, a *Authority, mutual bool, until time.Time, hosts ...string) *Server {
	t.Helper()
	s := Prepare(t)
	s.tls = a.Client()
	s.args = a.Args(fmt.Sprint(s.Port), mutual, until, hosts...)
	s.Up()
	return s
}
