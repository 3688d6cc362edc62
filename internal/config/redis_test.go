package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write writes a file and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		redis            Redis
		network, address string
		tls              bool
	}{
		{Default().Redis, "tcp", "localhost:6379", false},
		{Redis{Host: "::1", Port: 1, TLS: &TLS{}}, "tcp", "[::1]:1", true},
		{Redis{Socket: "/run/x"}, "unix", "/run/x", false},
		{Redis{Sentinel: &Sentinel{}}, "", "", false},
		{Redis{Cluster: &Cluster{}, TLS: &TLS{}}, "", "", true},
		{Redis{}, "", "", false},
		{Redis{URL: "redis://h"}, "tcp", "h:6379", false},
		{Redis{URL: "redis://h:"}, "tcp", "h:6379", false},
		{Redis{URL: "redis://h:1/"}, "tcp", "h:1", false},
		{Redis{URL: "redis://h", TLS: &TLS{}}, "tcp", "h:6379", true},
		{Redis{URL: "rediss://u:p@h:1"}, "tcp", "h:1", true},
		{Redis{URL: "REDISS://[::1]:1"}, "tcp", "[::1]:1", true},
		{Redis{URL: "unix:///run/a%20b"}, "unix", "/run/a b", false},
		{Redis{URL: "unix:/run/x"}, "unix", "/run/x", false},
		{Redis{URL: "unix://u:p@/run/x"}, "unix", "/run/x", false},
		{Redis{URL: "http://h"}, "", "", false},
	} {
		network, address := row.redis.Address()
		if network != row.network || address != row.address || row.redis.UsesTLS() != row.tls {
			t.Errorf("%+v: %q %q, TLS %v", row.redis, network, address, row.redis.UsesTLS())
		}
	}
}

const (
	urlForm   = "must be redis://host:port, rediss://host:port or unix:///path"
	urlEscape = urlForm + "; special characters of a password stand in it as %XX"
	urlQuery  = urlForm + " without ? and #; in a password they stand as %3F and %23"
	urlDB     = "must end after the port: what stands behind the / elsewhere, the number of a database, is redis.logs_db and redis.values_db here"
	urlPath   = "must have the whole path of the socket: unix:///path"
)

func TestBadURLs(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"":                     urlForm,
		"localhost":            urlForm,
		"localhost:6379":       urlForm,
		"tcp://h:1":            urlForm,
		"redis:h:1":            urlForm,
		"redis://":             urlForm,
		"redis://:6379":        urlForm,
		"redis://h:0":          urlForm,
		"redis://h:65536":      urlForm,
		"redis://h_:x":         urlEscape,
		"redis://a b":          urlEscape,
		"redis://h\n":          urlEscape,
		"redis://:pa/ss@h":     urlEscape,
		"redis://:pa%ss@h":     urlEscape,
		"redis://:pa?ss@h":     urlEscape,
		"redis://h?db=1":       urlQuery,
		"redis://h?":           urlQuery,
		"redis://h#1":          urlQuery,
		"redis://h:1/3":        urlDB,
		"rediss://u:1/ss@h":    urlDB,
		"unix://run/x":         urlPath,
		"unix:run/x":           urlPath,
		"unix:///":             urlPath,
		"unix:///x%00":         urlPath,
		"unix:///x?db=1":       urlQuery,
		"unix://u:p@host/sock": urlPath,
	} {
		r := Default().Redis
		err := r.SetURL(raw)
		if err == nil || err.Error() != "--redis: "+want {
			t.Errorf("%q: got %v, want %s", raw, err, want)
		}
		if !reflect.DeepEqual(r, Default().Redis) {
			t.Errorf("%q: changed the address in spite of the error", raw)
		}
	}
}

func TestSetURL(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "cluster.toml")
	c.Redis.Username, c.Redis.Password, c.Redis.TLS = "old", "secret", &TLS{CAFile: "ca"}
	if err := c.Redis.SetURL("redis://h:1"); err != nil {
		t.Fatal(err)
	}
	want := Default().Redis
	want.addressed = true
	want.URL, want.Host, want.Port = "redis://h:1", "", 0
	want.Username, want.Password, want.TLS = "old", "secret", &TLS{CAFile: "ca"}
	if !reflect.DeepEqual(c.Redis, want) {
		t.Errorf("got %+v, want %+v", c.Redis, want)
	}
	if err := c.Redis.SetURL("unix://new:pass@/run/x"); err != nil {
		t.Fatal(err)
	}
	want.URL, want.Username, want.Password, want.TLS = "unix://new:pass@/run/x", "", "", nil
	if !reflect.DeepEqual(c.Redis, want) {
		t.Errorf("got %+v, want %+v", c.Redis, want)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

func TestMaskURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[URL]string{
		"":                        "",
		"redis://h":               "redis://h",
		"redis://secret@h":        "redis://********@h",
		"unix://secret@/run/x":    "unix://********@/run/x",
		"redis://u:@h":            "redis://u:@h",
		"redis://u:p@h:1":         "redis://u:********@h:1",
		"redis://:p:q%40@[::1]:1": "redis://:********@[::1]:1",
		"unix://u:p@/run/x@y:z":   "unix://u:********@/run/x@y:z",
		"redis://u:p@h/3":         "********",
		"u:p@h":                   "********",
	} {
		if got := raw.String(); got != want {
			t.Errorf("%s: got %s, want %s", raw.Reveal(), got, want)
		}
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pass := write(t, dir, "pass", " p w \r\nsecond line\n")
	bare := write(t, dir, "bare", "pw")
	marked := write(t, dir, "marked", "\uFEFFpw\r\n")
	empty := write(t, dir, "empty", "\nc4n4ry\n")
	long := write(t, dir, "long", strings.Repeat("x", maxSecret+1))
	write(t, dir, "app/password", "pw\n")
	for _, row := range []struct {
		redis          Redis
		user, password string
		err            string
	}{
		{Redis{}, "", "", ""},
		{Redis{Username: "u"}, "u", "", ""},
		{Redis{Username: "u", Password: "p"}, "u", "p", ""},
		{Redis{Password: "p", URL: "redis://h"}, "", "p", ""},
		{Redis{Username: "u", PasswordFile: pass}, "u", " p w ", ""},
		{Redis{PasswordFile: bare}, "", "pw", ""},
		{Redis{SecretsDir: dir + "/app"}, "app", "pw", ""},
		{Redis{SecretsDir: dir + "/app/"}, "app", "pw", ""},
		{Redis{URL: "redis://u%3A:p%40%23@h"}, "u:", "p@#", ""},
		{Redis{URL: "redis://:p@h"}, "", "p", ""},
		{Redis{URL: "redis://secret%40@h"}, "", "secret@", ""}, // as redis-cli has it
		{Redis{URL: "redis://u:@h"}, "u", "", ""},
		{Redis{PasswordFile: marked}, "", "pw", ""},
		{Redis{URL: "unix://u:p@/x"}, "u", "p", ""},
		{Redis{URL: "c4n4ry"}, "", "", "redis.url: " + urlForm},
		{Redis{PasswordFile: dir + "/none"}, "", "", "redis.password_file: cannot read " + dir + "/none: no such file or directory"},
		{Redis{PasswordFile: dir}, "", "", "redis.password_file: cannot read " + dir + ": is a directory"},
		{Redis{PasswordFile: empty}, "", "", "redis.password_file: the first line of " + empty + " is empty"},
		{Redis{PasswordFile: long}, "", "", "redis.password_file: the first line of " + long + " is longer than 64 KiB"},
		{Redis{SecretsDir: dir}, "", "", "redis.secrets_dir: cannot read " + dir + "/password: no such file or directory"},
		{Redis{SecretsDir: "/"}, "", "", "redis.secrets_dir: must end in the name of the user"},
	} {
		user, password, err := row.redis.Credentials()
		if row.err != "" {
			if e, ok := errors.AsType[*Error](err); !ok || e.Error() != row.err {
				t.Errorf("%+v: got %v, want %s", row.redis, err, row.err)
			}
		} else if err != nil || user != row.user || password != row.password {
			t.Errorf("%+v: %q, %q, %v", row.redis, user, password, err)
		}
	}
}

func TestSentinelCredentials(t *testing.T) {
	t.Parallel()
	s := Sentinel{Username: "u", Password: "p"}
	if user, password, err := s.Credentials(); user != "u" || password != "p" || err != nil {
		t.Error(user, password, err)
	}
	s = Sentinel{PasswordFile: "/none/x"}
	const want = "redis.sentinel.password_file: cannot read /none/x: no such file or directory"
	if _, _, err := s.Credentials(); err == nil || err.Error() != want {
		t.Error(err)
	}
}

// certificate returns a new self-signed certificate with its key, in PEM form.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
}

func TestTLSConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certPEM, keyPEM := certificate(t)
	cert, key := write(t, dir, "cert", certPEM), write(t, dir, "key", keyPEM)

	for _, row := range []struct {
		redis Redis
		name  string
	}{
		{Redis{Host: "h", Port: 1, TLS: &TLS{}}, "h"},
		{Redis{Host: "h", Port: 1, TLS: &TLS{ServerName: "s"}}, "s"},
		{Redis{URL: "rediss://[::1]:1"}, "::1"},
		{Redis{URL: "redis://h", TLS: &TLS{}}, "h"},
		{Redis{Sentinel: &Sentinel{}, TLS: &TLS{}}, ""},
		{Redis{Cluster: &Cluster{}, TLS: &TLS{ServerName: "s"}}, "s"},
		{Redis{Host: "h", TLS: &TLS{CAFile: cert, CertFile: cert, KeyFile: key}}, "h"},
	} {
		c, err := row.redis.TLSConfig()
		if err != nil || c.ServerName != row.name || c.MinVersion != tls.VersionTLS12 {
			t.Fatalf("%+v: %+v, %v", row.redis, c, err)
		}
		files := row.redis.TLS != nil && row.redis.TLS.CAFile != ""
		if (c.RootCAs != nil) != files || (len(c.Certificates) == 1) != files {
			t.Errorf("%+v: %+v", row.redis, c)
		}
	}
	r := Default().Redis
	if c, err := r.TLSConfig(); c != nil || err != nil {
		t.Errorf("without TLS: %+v, %v", c, err)
	}
}

func TestTLSConfigErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certPEM, keyPEM := certificate(t)
	_, otherPEM := certificate(t)
	cert, key, other := write(t, dir, "cert", certPEM), write(t, dir, "key", keyPEM), write(t, dir, "other", otherPEM)
	junk := write(t, dir, "junk", canary)
	for _, row := range []struct {
		tls  TLS
		want string
	}{
		{TLS{CAFile: "/none"}, "redis.tls.ca_file: cannot read /none: no such file or directory"},
		{TLS{CAFile: junk}, "redis.tls.ca_file: no certificate in PEM form in " + junk},
		{TLS{CertFile: "/none", KeyFile: key}, "redis.tls.cert_file: cannot read /none: no such file or directory"},
		{TLS{CertFile: cert, KeyFile: "/none"}, "redis.tls.key_file: cannot read /none: no such file or directory"},
		{TLS{CertFile: cert, KeyFile: other}, "redis.tls.cert_file: " + cert + " and " + other + " are no pair: tls: private key does not match public key"},
		{TLS{CertFile: cert, KeyFile: junk}, "redis.tls.cert_file: " + cert + " and " + junk + " are no pair: tls: failed to find any PEM data in key input"},
	} {
		r := Redis{Host: "h", Port: 1, TLS: &row.tls}
		_, err := r.TLSConfig()
		if e, ok := errors.AsType[*Error](err); !ok || e.Error() != row.want {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
}

// TestTLSFileHangs reads certificates and keys from pipes without a writer.
func TestTLSFileHangs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certPEM, _ := certificate(t)
	cert := write(t, dir, "cert", certPEM)
	pipe := func(name string) string {
		file := filepath.Join(dir, name)
		if err := syscall.Mkfifo(file, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for key, tls := range map[string]TLS{
		"ca_file":   {CAFile: pipe("ca_file")},
		"cert_file": {CertFile: pipe("cert_file"), KeyFile: cert},
		"key_file":  {CertFile: cert, KeyFile: pipe("key_file")},
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			r := Redis{Host: "h", Port: 1, TLS: &tls}
			want := "redis.tls." + key + ": cannot read " + filepath.Join(dir, key) + ": no answer within 2s"
			if _, err := r.TLSConfig(); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// The next call reads a renewed file.
func TestFilesAreReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := Redis{PasswordFile: write(t, dir, "pass", "one")}
	if _, password, _ := r.Credentials(); password != "one" {
		t.Error(password)
	}
	write(t, dir, "pass", "two")
	if _, password, _ := r.Credentials(); password != "two" {
		t.Error(password)
	}
}

// TestSecretHangs reads a password from a pipe: without a writer, and from one that comes.
func TestSecretHangs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	r := Redis{PasswordFile: file}
	want := "redis.password_file: cannot read " + file + ": no answer within 2s"
	for range 2 {
		if _, _, err := r.Credentials(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	write := func() {
		pipe, err := os.OpenFile(file, os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		pipe.WriteString("secret\n")
		pipe.Close()
	}
	write() // for the read that hangs
	slot, _ := reading.Load(file)
	slot.(chan struct{}) <- struct{}{} // it has ended
	<-slot.(chan struct{})
	go write()
	if _, password, err := r.Credentials(); err != nil || password != "secret" {
		t.Errorf("%q, %v", password, err)
	}
}
