package panel

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	cookieName   = "jettison_panel"
	sessionLasts = 7 * 24 * time.Hour
	maxSessions  = 1000
	leastToken   = 16              // characters
	afterWrong   = 2 * time.Second // how long a wrong token closes the door for everybody
)

// A login is who may see the panel: everybody, or who knows the token.
type login struct {
	token  []byte // its SHA-256; nil: everybody
	secure bool   // the cookie is for TLS only

	mu       sync.Mutex
	sessions map[string]time.Time // until when
	closed   time.Time            // until then no token is looked at
}

// newLogin reads the token, the first line of a file.
func newLogin(file string, secure bool) (*login, error) {
	l := &login{secure: secure, sessions: make(map[string]time.Time)}
	if file == "" {
		return l, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("--token-file: %w", err)
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) < leastToken {
		return nil, fmt.Errorf("--token-file: the first line of %s must have %d characters or more; this makes one: openssl rand -hex 16", file, leastToken)
	}
	sum := sha256.Sum256(line)
	l.token = sum[:]
	return l, nil
}

// right says whether text is the token. After a wrong one it says no for a while, so that
// guessing takes longer than anybody lives.
func (l *login) right(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.closed) {
		return false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
	if subtle.ConstantTimeCompare(sum[:], l.token) == 1 {
		return true
	}
	l.closed = time.Now().Add(afterWrong)
	return false
}

// permits says whether a request may be answered: it has a session's cookie, or the token as
// a bearer, as Prometheus sends it.
func (l *login) permits(r *http.Request) bool {
	if l.token == nil {
		return true
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return l.right(bearer)
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.sessions[cookie.Value])
}

// begin gives the browser a session.
func (l *login) begin(w http.ResponseWriter) {
	id := rand.Text()
	l.mu.Lock()
	for old, until := range l.sessions {
		if len(l.sessions) >= maxSessions || time.Now().After(until) {
			delete(l.sessions, old)
		}
	}
	l.sessions[id] = time.Now().Add(sessionLasts)
	l.mu.Unlock()
	l.cookie(w, id, int(sessionLasts.Seconds()))
}

func (l *login) cookie(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: l.secure, SameSite: http.SameSiteStrictMode,
	})
}

// end takes a session away.
func (l *login) end(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		l.mu.Lock()
		delete(l.sessions, cookie.Value)
		l.mu.Unlock()
	}
	l.cookie(w, "", -1)
}
