package panel

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

const (
	cookieName   = "jettison_panel"
	sessionLasts = 7 * 24 * time.Hour
	maxSessions  = 1000            // maxSessions: bound of the sessions, and of the addresses that gave a wrong token
	leastToken   = 16              // leastToken: characters
	afterWrong   = 2 * time.Second // afterWrong: how long an address's tokens are refused after a wrong one
)

// A login decides who may see the panel: every user, or only those with the token.
type login struct {
	token  []byte // token: its SHA-256; nil: every user may
	secure bool   // secure: the cookie is for TLS only

	mu       sync.Mutex
	sessions map[string]time.Time // sessions: when they end
	closed   map[string]time.Time // closed: by address, until when its tokens are refused
}

// newLogin reads the token, the first line of a file.
func newLogin(file string, secure bool) (*login, error) {
	l := &login{secure: secure, sessions: make(map[string]time.Time), closed: make(map[string]time.Time)}
	if file == "" {
		return l, nil
	}
	line, err := config.FirstLine("--token-file", file)
	if err != nil {
		return nil, err
	}
	token := strings.TrimSpace(line)
	if len(token) < leastToken {
		return nil, fmt.Errorf("--token-file: the first line of %s must have %d characters or more; this makes one: openssl rand -hex 16", file, leastToken)
	}
	sum := sha256.Sum256([]byte(token))
	l.token = sum[:]
	return l, nil
}

// right reports whether text is the token. After a wrong one it returns false to the same
// address for a while: guessing is hopeless, and locks out nobody else.
func (l *login) right(r *http.Request, text string) bool {
	from, _, _ := net.SplitHostPort(r.RemoteAddr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().Before(l.closed[from]) {
		return false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(text)))
	if subtle.ConstantTimeCompare(sum[:], l.token) == 1 {
		return true
	}
	put(l.closed, from, afterWrong)
	return false
}

// put adds a key for a time. It removes the keys whose time is over, and others if there are
// too many.
func put(m map[string]time.Time, key string, lasts time.Duration) {
	for old, until := range m {
		if len(m) >= maxSessions || time.Now().After(until) {
			delete(m, old)
		}
	}
	m[key] = time.Now().Add(lasts)
}

// permits reports whether a request has a session's cookie, or the token as a bearer, as
// Prometheus sends it.
func (l *login) permits(r *http.Request) bool {
	if l.token == nil {
		return true
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return l.right(r, bearer)
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.sessions[cookie.Value])
}

// begin begins a session and sets its cookie.
func (l *login) begin(w http.ResponseWriter) {
	id := rand.Text()
	l.mu.Lock()
	put(l.sessions, id, sessionLasts)
	l.mu.Unlock()
	l.cookie(w, id, int(sessionLasts.Seconds()))
}

func (l *login) cookie(w http.ResponseWriter, value string, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, Secure: l.secure, SameSite: http.SameSiteStrictMode,
	})
}

// end ends a session and clears its cookie.
func (l *login) end(w http.ResponseWriter, r *http.Request) {
	if cookie, err := r.Cookie(cookieName); err == nil {
		l.mu.Lock()
		delete(l.sessions, cookie.Value)
		l.mu.Unlock()
	}
	l.cookie(w, "", -1)
}
