package health

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// probeTCP succeeds when the target accepts a connection.
func probeTCP(ctx context.Context, _ *Keeper, target string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(target, "tcp://"))
	if err == nil {
		conn.Close()
	}
	return err
}

// longestStatus is how much of an answer is looked at for its status line, in
// bytes.
const longestStatus = 4 << 10

// probeHTTP succeeds when a GET is answered with a status from 200 to 399; it
// does not follow redirections. It speaks HTTP/1.1 (RFC 9112) as far as the
// status line: package net/http would add 1.1 MB to the binary for it.
func probeHTTP(ctx context.Context, _ *Keeper, target string) error {
	u, err := url.Parse(target)
	if err != nil {
		return errors.New("no URL")
	}
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { plain.Close() })()
	conn := plain
	if u.Scheme == "https" {
		conn = tls.Client(plain, &tls.Config{ServerName: u.Hostname()})
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+u.RequestURI()+" HTTP/1.1\r\nHost: "+u.Host+"\r\nUser-Agent: wrapp\r\nAccept: */*\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	for answer := bufio.NewReaderSize(io.LimitReader(conn, longestStatus), longestStatus+1); ; {
		status, err := statusOf(answer)
		if err != nil {
			return err
		}
		switch {
		case status < 200: // an interim response comes before the answer
		case status < 400:
			return nil
		default:
			return fmt.Errorf("HTTP status %d", status)
		}
	}
}

// statusOf reads the head of one response and returns its status code. The head
// of a final response is read no further than its first line.
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
