// Package panel shows the logs, health and crashes of apps in a browser. It reads one
// Redis or many, each a board, and writes nothing.
package panel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"github.com/lpportorino/jettison-base-images/internal/address"
	"github.com/lpportorino/jettison-base-images/internal/config"
)

// Bounds of what browsers may use.
const (
	maxConns   = 256 // connections
	maxViewers = 100 // live views
	maxHeader  = 32 << 10
)

// Options say what a Server shows, and to whom.
type Options struct {
	Boards    []config.Board
	Listen    string   // host:port
	Hosts     []string // further names of this machine for browsers, besides its own and IP addresses
	TokenFile string   // its first line is the token that users need; "": none
	CertFile  string   // with KeyFile: TLS
	KeyFile   string
	Log       *slog.Logger
}

// A Server is the panel.
type Server struct {
	opts    Options
	boards  []*board
	pages   *pages
	login   *login
	hosts   map[string]bool
	viewers chan struct{}   // viewers: holds one element for each live view
	ending  context.Context // ending: done when the Server ends

	overviewMu   sync.Mutex // overviewMu: guards lastOverview
	lastOverview *overview
}

// isLoopback reports whether only this machine reaches a host to listen on.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// New checks the options. Its errors say which option to change.
func New(o Options) (*Server, error) {
	if address.IsURL(o.Listen) {
		return nil, errors.New("--listen: must be host:port, not a URL")
	}
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen: must be host:port: %w", err)
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("--cert and --key: the one needs the other")
	}
	if o.TokenFile == "" && !isLoopback(host) {
		return nil, fmt.Errorf("--listen %s can be reached from other machines, and logs are not for everybody: give --token-file FILE, or listen on 127.0.0.1", o.Listen)
	}
	if len(o.Boards) == 0 {
		return nil, errors.New("no board: give --redis URL or --config FILE, or set REDIS_URL")
	}
	s := &Server{opts: o, viewers: make(chan struct{}, maxViewers), hosts: map[string]bool{"localhost": true}}
	if s.login, err = newLogin(o.TokenFile, o.CertFile != ""); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(); err != nil {
		return nil, err
	}
	if name, err := os.Hostname(); err == nil {
		s.hosts[strings.ToLower(name)] = true
		s.hosts[strings.ToLower(name)+".local"] = true
	}
	for _, name := range append(o.Hosts, host) {
		if name != "" {
			s.hosts[bare(name)] = true
		}
	}
	taken := make(map[string]bool)
	for _, b := range o.Boards {
		name := b.Name
		for n := 2; taken[b.Name]; n++ {
			b.Name = fmt.Sprintf("%s-%d", name, n)
		}
		taken[b.Name] = true
		s.boards = append(s.boards, newBoard(b, o.Log))
	}
	return s, nil
}

// Run serves until ctx ends. It calls listening with the address as soon as it listens.
func (s *Server) Run(ctx context.Context, listening func(url string)) error {
	var cert *tls.Config
	if s.opts.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(s.opts.CertFile, s.opts.KeyFile)
		if err != nil {
			return fmt.Errorf("--cert, --key: %w", err)
		}
		cert = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	}
	l, err := net.Listen("tcp", s.opts.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	where := "http://" + l.Addr().String() + "/"
	l = netutil.LimitListener(l, maxConns)
	if cert != nil {
		l, where = tls.NewListener(l, cert), "https"+strings.TrimPrefix(where, "http")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.ending = ctx
	var running sync.WaitGroup
	for _, b := range s.boards {
		running.Go(func() { b.run(ctx) })
		running.Go(func() { b.tail.run(ctx) })
	}
	web := &http.Server{
		Handler: s.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug),
	}
	running.Go(func() {
		<-ctx.Done()
		// Live views end with ctx; the others are short.
		last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if web.Shutdown(last) != nil {
			web.Close()
		}
	})
	listening(where)
	if err = web.Serve(l); errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	stop()
	running.Wait()
	return err
}

// board returns the board of that name; without a name the first that knows the app.
func (s *Server) board(name, app string) *board {
	for _, b := range s.boards {
		if name != "" {
			if b.name == name {
				return b
			}
			continue
		}
		b.mu.Lock()
		_, known := b.apps[app]
		b.mu.Unlock()
		if known {
			return b
		}
	}
	return nil
}
