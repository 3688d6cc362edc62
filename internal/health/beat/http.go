package beat

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/address"
)

// validHTTP reports whether target can be asked over HTTP. It must not hold a password:
// wrapp shows the beats of a pool as they are.
func validHTTP(target string) bool {
	u, err := url.Parse(target)
	return err == nil && u.User == nil && address.IsHost(u.Hostname()) && (u.Port() == "" || address.IsPort(u.Port()))
}

// longestStatus is how much of an answer may be read to find its status line, in bytes.
const longestStatus = 4 << 10

// probeHTTP succeeds when a GET is answered with a status from 200 to 399; it
// does not follow redirections.
func probeHTTP(ctx context.Context, target string, app App) error {
	status, err := exchange(ctx, target, app, "GET", "Accept: */*\r\n", nil)
	if err == nil && status >= 400 {
		err = fmt.Errorf("HTTP status %d", status)
	}
	return err
}

// Post succeeds when a POST of a JSON text to an http or https URL is answered with a
// status from 200 to 299. No error shows more of the URL than its host and port.
func Post(ctx context.Context, target string, text []byte) error {
	header := "Content-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(text)) + "\r\n"
	status, err := exchange(ctx, target, App{}, "POST", header, text)
	if err == nil && status >= 300 {
		err = fmt.Errorf("HTTP status %d", status)
	}
	return err
}

// exchange sends a request and returns the status of the answer. It speaks HTTP/1.1 (RFC
// 9112) up to the status line itself: package net/http would add 1.1 MB to the binary.
func exchange(ctx context.Context, target string, app App, method, header string, body []byte) (status int, err error) {
	u, err := url.Parse(target)
	if err != nil {
		return 0, errors.New("no URL")
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return 0, err
	}
	defer context.AfterFunc(ctx, func() { plain.Close() })()
	conn := plain
	if u.Scheme == "https" {
		config, err := app.tls(u.Hostname())
		if err != nil {
			return 0, err
		}
		conn = tls.Client(plain, config)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, method+" "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUser-Agent: wrapp\r\n"+header+"Connection: close\r\n\r\n"+string(body)); err != nil {
		return 0, err
	}
	for answer := bufio.NewReaderSize(io.LimitReader(conn, longestStatus), longestStatus+1); ; {
		status, err := statusOf(answer)
		if err != nil || status >= 200 { // an interim response comes before the answer
			return status, err
		}
	}
}

// tls returns the TLS configuration for a host. It reads CAFile anew each time.
func (a *App) tls(host string) (*tls.Config, error) {
	c := &tls.Config{ServerName: host, InsecureSkipVerify: a.Insecure}
	if a.CAFile == "" || a.Insecure {
		return c, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: no certificate in PEM form in %s", a.CAFile)
	}
	return c, nil
}

// statusOf reads the head of one response and returns its status code. Of a final
// response it reads only the first line.
func statusOf(answer *bufio.Reader) (int, error) {
	line, err := answer.ReadSlice('\n')
	if err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	protocol, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !strings.HasPrefix(protocol, "HTTP/") || len(code) != 3 || err != nil || status < 100 {
		return 0, errors.New("the answer is not HTTP")
	}
	for status < 200 {
		field, err := answer.ReadSlice('\n')
		if err != nil {
			return 0, fmt.Errorf("read the answer: %w", err)
		}
		if strings.TrimRight(string(field), "\r\n") == "" {
			break
		}
	}
	return status, nil
}
