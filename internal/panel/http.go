package panel

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

//go:embed assets
var assets embed.FS

// policy lets a page use only the panel's own files: no inline script or style, no other
// server, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types panel"

// pages has the templates, and the static files, compressed.
type pages struct {
	templates *template.Template
	static    map[string]static
}

type static struct {
	kind string
	gzip []byte
}

func loadPages() (*pages, error) {
	p := &pages{static: make(map[string]static)}
	var err error
	if p.templates, err = template.New("").Funcs(functions).ParseFS(assets, "assets/*.html"); err != nil {
		return nil, err
	}
	return p, fs.WalkDir(assets, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		data, err := assets.ReadFile(name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(data)
		z.Close()
		kind := mime.TypeByExtension(path.Ext(name))
		if path.Ext(name) == ".js" {
			kind = "text/javascript; charset=utf-8"
		}
		p.static[strings.TrimPrefix(name, "assets/")] = static{kind, b.Bytes()}
		return nil
	})
}

// functions are the functions that templates call.
var functions = template.FuncMap{
	"line": func(values []float32) string { return curve(values, 1, 60, 16, false) },
	"area": func(values []float32) string { return curve(values, 1, 60, 16, true) },
	"num":  number,
	// nil is an unknown count.
	"positive": func(n *int64) bool { return n != nil && *n > 0 },
	"iso":      func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
	"utc":      func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"show":     visible,
	"appURL": func(board, app string) string {
		return "/app/" + url.PathEscape(app) + "?board=" + url.QueryEscape(board)
	},
	"crashURL": func(board, app, id string) string {
		return "/app/" + url.PathEscape(app) + "/crash/" + url.PathEscape(id) + "?board=" + url.QueryEscape(board)
	},
	"atURL": func(board, app string, c Crash) string {
		return "/app/" + url.PathEscape(app) + "?board=" + url.QueryEscape(board) + "&at=" + url.QueryEscape(c.ID+"/"+app+"/crash")
	},
	"known": func(s string) bool { return s != "" && !strings.HasPrefix(s, "~") },
}

// handler returns the panel's handler.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.overviewPage)
	mux.HandleFunc("GET /app/{app}", s.appPage)
	mux.HandleFunc("GET /app/{app}/crash/{id}", s.crashPage)
	mux.HandleFunc("GET /crashes", s.crashesPage)
	mux.HandleFunc("GET /live", s.overviewLive)
	mux.HandleFunc("GET /app/{app}/live", s.appLive)
	mux.HandleFunc("GET /login", s.loginPage)
	mux.HandleFunc("POST /login", s.loginTry)
	mux.HandleFunc("POST /logout", s.logout)
	mux.HandleFunc("GET /static/{file}", s.staticFile)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.Handle("GET /metrics", s.metrics())
	s.api(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, http.StatusNotFound, "There is no such page here.")
	})
	own := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if why := recover(); why != nil {
				s.broken(w, r.URL.Path, fmt.Errorf("%v\n%s", why, debug.Stack()))
			}
		}()
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !s.isOurs(r.Host):
			http.Error(w, "this name is not one of the panel's: give --host "+strconv.Quote(cut(r.Host, 100)), http.StatusMisdirectedRequest)
		case !open(r.URL.Path) && !s.login.permits(r):
			if r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/html") {
				http.Redirect(w, r, "/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
				return
			}
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong: Authorization: Bearer TOKEN", http.StatusUnauthorized)
		default:
			own.ServeHTTP(w, r)
		}
	})
}

// open reports whether a page needs no login.
func open(path string) bool {
	return path == "/healthz" || path == "/login" || strings.HasPrefix(path, "/static/")
}

// isOurs reports whether a request's Host is the panel's. Another site can make its own name
// resolve to the panel (DNS rebinding), but not an IP address.
func (s *Server) isOurs(host string) bool {
	host = bare(host)
	return net.ParseIP(host) != nil || s.hosts[host]
}

// bare returns the name in a Host header, or in --host: without port and brackets, in small
// letters.
func bare(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}

// A shell has the data that all pages need.
type shell struct {
	Title  string
	Page   string // entry of the navigation
	Boards []BoardView
	Login  bool // offer to end the session
	Body   any
}

// show writes a page.
func (s *Server) show(w http.ResponseWriter, r *http.Request, status int, name, title string, body any) {
	_, err := r.Cookie(cookieName)
	page := shell{Title: title, Page: name, Boards: s.boardViews(), Login: s.login.token != nil && err == nil, Body: body}
	var b bytes.Buffer
	if err := s.pages.templates.ExecuteTemplate(&b, name+".html", page); err != nil {
		s.broken(w, name, err)
		return
	}
	s.send(w, r, status, "text/html; charset=utf-8", b.Bytes())
}

// broken answers in place of a page that could not be made, and logs why.
func (s *Server) broken(w http.ResponseWriter, page string, why error) {
	s.opts.Log.Error("a page could not be made", "page", page, "error", why)
	http.Error(w, "this page could not be made; the panel's own log says why", http.StatusInternalServerError)
}

// send writes a body, compressed if the browser accepts that.
func (s *Server) send(w http.ResponseWriter, r *http.Request, status int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept-Encoding")
	if len(body) < 1<<10 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.WriteHeader(status)
		w.Write(body)
		return
	}
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(status)
	z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
	z.Write(body)
	z.Close()
}

// problem answers with an error: JSON for the API, else a page.
func (s *Server) problem(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.Path, "/api/") {
		body, _ := json.Marshal(map[string]string{"error": text})
		s.send(w, r, status, "application/json", append(body, '\n'))
		return
	}
	s.show(w, r, status, "problem", "Not shown", text)
}

// failed answers with the error of a question to Redis.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, b *board, err error) {
	switch {
	case errors.Is(err, errNoRun):
		s.problem(w, r, http.StatusNotFound, err.Error())
	case errors.Is(err, errBusy), errors.Is(err, context.DeadlineExceeded):
		s.problem(w, r, http.StatusServiceUnavailable, fmt.Sprintf("board %s: %v", b.name, err))
	default:
		s.problem(w, r, http.StatusBadGateway, fmt.Sprintf("board %s: %v", b.name, err))
	}
}

func (s *Server) staticFile(w http.ResponseWriter, r *http.Request) {
	file, ok := s.pages.static[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("Content-Type", file.kind)
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(file.gzip)
		return
	}
	if z, err := gzip.NewReader(bytes.NewReader(file.gzip)); err == nil {
		io.Copy(w, z)
	}
}

// findApp returns the board and the app that a request names, or answers with an error.
func (s *Server) findApp(w http.ResponseWriter, r *http.Request, points int) (*board, AppView, bool) {
	name := r.PathValue("app")
	b := s.board(r.URL.Query().Get("board"), name)
	if b != nil {
		if v, ok := s.appView(b, name, points); ok {
			return b, v, true
		}
	}
	text := fmt.Sprintf("No board knows an app called %s.", visible(strconv.Quote(cut(name, 100))))
	for _, b := range s.boardViews() {
		if !b.Up {
			text += fmt.Sprintf(" Board %s is away: %s.", b.Name, cut(b.Why, 300))
		}
	}
	s.problem(w, r, http.StatusNotFound, text)
	return nil, AppView{}, false
}

// findLog returns the log query and the app of a request, or answers with an error.
func (s *Server) findLog(w http.ResponseWriter, r *http.Request) (*logQuery, *board, AppView, bool) {
	q, err := parseLogQuery(r.URL.Query())
	if err != nil {
		s.problem(w, r, http.StatusBadRequest, err.Error())
		return nil, nil, AppView{}, false
	}
	b, view, ok := s.findApp(w, r, 1)
	return q, b, view, ok
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) {
	s.show(w, r, http.StatusOK, "login", "Log in", map[string]any{"To": r.URL.Query().Get("to")})
}

func (s *Server) loginTry(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 8<<10)
	to := r.FormValue("to")
	// Browsers take a backslash for a slash, and leave out tabs and line ends.
	elsewhere := func(r rune) bool { return r == '\\' || r <= ' ' }
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsFunc(to, elsewhere) {
		to = "/"
	}
	if !s.login.right(r, r.FormValue("token")) {
		s.show(w, r, http.StatusForbidden, "login", "Log in", map[string]any{"To": to, "Wrong": true})
		return
	}
	s.login.begin(w)
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) {
	s.login.end(w, r)
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}
