package panel

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

const token = "0123456789abcdef-token"

func tokenFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRefusals: requests that are not safe are refused, with a way out.
func TestRefusals(t *testing.T) {
	t.Parallel()
	board := []config.Board{{Name: "x", Redis: config.Default().Redis}}
	for want, o := range map[string]Options{
		"give --token-file FILE, or listen on 127.0.0.1": {Boards: board, Listen: "0.0.0.0:8420"},
		"can be reached from other machines":             {Boards: board, Listen: ":8420"},
		"must be host:port":                              {Boards: board, Listen: "8420"},
		"must have 16 characters or more":                {Boards: board, Listen: "127.0.0.1:0", TokenFile: tokenFile(t, "short")},
		"--token-file: cannot read /none: no such file":  {Boards: board, Listen: "127.0.0.1:0", TokenFile: "/none"},
		"the one needs the other":                        {Boards: board, Listen: "127.0.0.1:0", CertFile: "/x"},
		"no board: give --redis URL":                     {Listen: "127.0.0.1:0"},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	for _, listen := range []string{"localhost:0", "[::1]:0", "127.9.9.9:0"} {
		if _, err := New(Options{Boards: board, Listen: listen, Log: slog.New(slog.DiscardHandler)}); err != nil {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

// TestLogin: without the token the panel shows nothing; with it a session begins and ends.
func TestLogin(t *testing.T) {
	t.Parallel()
	p := start(t, func(o *Options) { o.TokenFile = tokenFile(t, "\uFEFF"+token+"\r") }, redistest.Start(t))
	for _, path := range []string{"/", "/live", "/crashes", "/app/x", "/metrics", "/api/v1/apps", "/app/x/live"} {
		if status, body := p.get(path); status != http.StatusUnauthorized || strings.Contains(body, "left") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _ := p.get("/", "Accept", "text/html"); status != http.StatusSeeOther {
		t.Errorf("a browser gets %d", status)
	}
	if status, body := p.get("/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("%d %q", status, body)
	}
	if status, _ := p.get("/metrics", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("the bearer gets %d", status)
	}
	jar, _ := cookiejar.New(nil)
	client := http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path, token, to string, header ...string) *http.Response {
		t.Helper()
		form := url.Values{"token": {token}, "to": {to}}
		r, _ := http.NewRequest(http.MethodPost, p.url+path, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if len(header) > 0 {
			r.Header.Set(header[0], header[1])
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	if answer := post("login", token, "/", "Sec-Fetch-Site", "cross-site"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("another site logs in: %d", answer.StatusCode)
	}
	answer := post("login", token, "//evil.example/")
	cookie := answer.Header.Get("Set-Cookie")
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/" || !strings.Contains(cookie, "HttpOnly") || !strings.Contains(cookie, "SameSite=Strict") || strings.Contains(cookie, token) {
		t.Errorf("%d %v", answer.StatusCode, answer.Header)
	}
	for _, to := range []string{"https://evil.example/", `/\evil.example/`, "/\t/evil.example/", "/\n/evil.example/", " //evil.example/"} {
		if where := post("login", token, to).Header.Get("Location"); where != "/" {
			t.Errorf("%q leads to %q", to, where)
		}
	}
	if where := post("login", token, "/app/a%20b?board=x").Header.Get("Location"); where != "/app/a%20b?board=x" {
		t.Errorf("the login leads to %q", where)
	}
	if answer, err := client.Get(p.url); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("with the session: %v, %v", answer, err)
	}
	post("logout", "", "")
	if answer, err := client.Get(p.url + "api/v1/apps"); err != nil || answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the end: %v, %v", answer, err)
	}
	before := time.Now()
	if answer := post("login", "wrong", "/"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a wrong token gets %d", answer.StatusCode)
	}
	// The door stays closed to this address, however late the next one is.
	const here, there = "127.0.0.1", "127.0.0.2"
	p.login.mu.Lock()
	if closed := p.login.closed[here].Sub(before); closed < afterWrong {
		t.Errorf("a wrong token closes the door for %v", closed)
	}
	p.login.closed[here] = before.Add(time.Hour)
	p.login.mu.Unlock()
	if answer := post("login", token, "/"); answer.StatusCode != http.StatusForbidden {
		t.Errorf("just after a wrong one the right one gets %d", answer.StatusCode)
	}
	for from, want := range map[string]int{here: http.StatusUnauthorized, there: http.StatusOK} {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
		r, _ := http.NewRequest(http.MethodGet, p.url+"metrics", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("then the right one from %s gets %d", from, answer.StatusCode)
		}
	}
}

// TestConnections opens the most connections: a further one is served when one of them ends.
func TestConnections(t *testing.T) {
	t.Parallel()
	p := start(t, nil, redistest.Start(t))
	addr := strings.Trim(strings.TrimPrefix(p.url, "http://"), "/")
	ask := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		fmt.Fprintf(c, "GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n", addr)
		return c
	}
	answered := func(c net.Conn, within time.Duration) error {
		c.SetReadDeadline(time.Now().Add(within))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	var last net.Conn
	for range maxConns {
		last = ask()
		if err := answered(last, time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	more := ask()
	if err := answered(more, 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("connection %d is served: %v", maxConns+1, err)
	}
	last.Close()
	if err := answered(more, time.Minute); err != nil {
		t.Error(err)
	}
}

// TestHeaders: wrong host names are refused, and pages send their security headers.
func TestHeaders(t *testing.T) {
	t.Parallel()
	p := start(t, func(o *Options) { o.Hosts = []string{"Panel.Robot", "panel.lan:8420"} }, redistest.Start(t))
	for host, want := range map[string]int{
		"evil.example": 421, "evil.example:8420": 421, "localhost.evil.example": 421, "localhost:1": 200, "127.0.0.1": 200, "[::1]:8420": 200, "panel.robot": 200, "panel.lan": 200, "panel.lan:8420": 200, "10.0.0.7:8420": 200,
	} {
		if status, _ := p.get("/", "Host", host); status != want {
			t.Errorf("%s gets %d", host, status)
		}
	}
	answer, err := http.Get(p.url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	csp := answer.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || answer.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", answer.Header)
	}
	body, _ := io.ReadAll(answer.Body)
	for _, bad := range []string{"http://", "https://", " style=", " onclick=", "<style", "<script>"} {
		if bytes.Contains(body, []byte(bad)) {
			t.Errorf("the page has %q in it", bad)
		}
	}
}

// TestPanic: a page whose making panics is answered, and the log says why.
func TestPanic(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s, err := New(Options{
		Boards: []config.Board{{Name: "x", Redis: config.Default().Redis}}, Listen: "127.0.0.1:0",
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.pages = nil
	answer := httptest.NewRecorder()
	s.handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "http://127.0.0.1/static/panel.js", nil))
	if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), "the panel's own log says why") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	for _, want := range []string{"level=ERROR", "/static/panel.js", "nil pointer", "http.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in %s", want, &log)
		}
	}
}

// TestSize: the files that a browser loads are small, and the script is short.
func TestSize(t *testing.T) {
	t.Parallel()
	pages, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, file := range pages.static {
		sum += len(file.gzip)
	}
	if sum > 100<<10 {
		t.Errorf("%d bytes compressed", sum)
	}
	script, _ := assets.ReadFile("assets/panel.js")
	if n := bytes.Count(script, []byte("\n")); n > 500 {
		t.Errorf("the script has %d lines", n)
	}
	t.Logf("%d bytes compressed", sum)
}

// TestNotInBase: the binary of the base images contains nothing of the panel.
func TestNotInBase(t *testing.T) {
	t.Parallel()
	list, err := exec.Command("go", "list", "-deps", "../../cmd/jettison").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, list)
	}
	for _, no := range []string{"internal/panel", "net/http\n", "html/template", "prometheus"} {
		if strings.Contains(string(list), no) {
			t.Errorf("cmd/jettison imports %s", no)
		}
	}
}

// hostile are texts that try to do harm when they are shown.
var hostile = []string{
	`<script>window.hit = 1</script>`, `<img src=x onerror="window.hit = 1">`, `"><svg/onload=window.hit=1>`, `</li></ol><h1>mine</h1>`,
	`<a href="javascript:window.hit=1">click</a>`, `{{.}} {{printf "%s" .}} ${window.hit=1}`, `<style>body{display:none}</style>`, `<base href="http://evil.example/">`,
	"\x1b[2J\x1b[31mred\x1b[0m \x1b]0;title\a \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\", "over\rwritten\b\b\b", "bidi \u202egnp.exe\u2066 \u200b\ufeffzero", "nul \x00 bell \a del \x7f c1 \u009b31m",
	"bad utf-8 \xff\xfe\xc3", `<iframe srcdoc="<script>parent.hit=1</script>">`, `data: x` + "\nevent: reset\ndata: true\n\nid: 1", "\u2028\u2029 separators", `&lt;script&gt; &amp;`,
	`{"time":"2026-11-29T00:00:00Z","level":"INFO","msg":"<img src=x onerror=window.hit=1>","service":"x","source":"stdout","run":"r","pid":1,"seq":1,"<script>window.hit=1</script>":"</script>"}`,
}

// TestHostile: text from Redis is shown and has no other effect.
func TestHostile(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	logs, values := s.Dial(1), s.Dial(2)
	do := func(c redis.Conn, command string, args ...any) {
		t.Helper()
		if _, err := c.Do(command, args...); err != nil {
			t.Fatal(err)
		}
	}
	names := []string{`a"><script>window.hit=1</script>`, "app"}
	for _, name := range names {
		for i, line := range hostile {
			for _, stream := range []string{"info", "status", "error", "crash"} {
				do(logs, "XADD", "logs:app:"+name+":"+stream, "*", "message", line, "source", "stderr", "level", line, "kind", line, "signal", line, "signature", fmt.Sprint(i), line, line)
			}
			do(values, "SET", fmt.Sprintf("wrapp:%s:value_%d", name, i), line)
			if strings.Contains(line, ":") {
				continue // it would be another app's
			}
			do(values, "HSET", "wrapp-run:"+name+":"+line, "host", line, "state", line, "version", line, "restarts", line, "lines", line)
		}
		for _, property := range []string{"beats", "cap", "depletion_rate", "init", "replenish_rate", "running", "exit", "health"} {
			do(values, "SET", name+":__healthpool__"+hostile[1]+"_"+property, 1)
		}
	}
	p := start(t, nil, s)
	eventually(t, "the apps are known", func() bool { return len(p.apps()) == len(names) && p.apps()["app"]["crashes"] == float64(len(hostile)) })
	check := func(b *tab, page string) {
		t.Helper()
		if eval[bool](b, `"hit" in window || !!document.querySelector("main h1 + script, main iframe, main style, main base, main img, [href^=javascript]")`) {
			t.Errorf("%s: a line had effect", page)
		}
		if text := eval[string](b, `document.body.textContent`); strings.ContainsAny(text, "\x1b\a\b\x00\x7f\u202e\u2066\u200b\u009b") {
			t.Errorf("%s: a control character is in the page", page)
		}
	}
	for _, name := range names {
		b := p.open("/app/"+url.PathEscape(name)+"?board=left", 1280, 800, "light")
		b.wait(`document.querySelectorAll("#lines li").length == ` + fmt.Sprint(4*len(hostile)) + ` && document.querySelector(".lane")`)
		b.js(`for (const d of document.querySelectorAll("details")) d.open = true`)
		check(b, "app "+name)
		if !eval[bool](b, `[...document.querySelectorAll("#lines .m")].some(m => m.firstChild.data == "<script>window.hit = 1</script>")`) {
			t.Error("the first line is not shown as it is")
		}
		b.js(`document.getElementById("log").scrollTop = 1e9`)
		do(logs, "XADD", "logs:app:"+name+":info", "*", "message", hostile[0]+"live")
		b.wait(`document.querySelector("#lines li:last-child .m").textContent == "<script>window.hit = 1</script>live"`)
		check(b, "live "+name)
	}
	b := p.open("/", 1280, 800, "dark")
	for _, path := range []string{"/", "/crashes", "/app/" + url.PathEscape("<script>window.hit=1</script>"), "/app/app?board=" + url.QueryEscape(hostile[1]), "/?q=" + url.QueryEscape(hostile[2])} {
		b.visit(p, path)
		b.wait(`document.querySelector("main").textContent.length > 10`)
		check(b, path)
	}
	b.visit(p, "/crashes")
	b.js(`document.querySelector("a.open").click()`)
	b.wait(`document.querySelector(".report")`)
	check(b, "report")
	for _, path := range []string{"/metrics", "/api/v1/apps", "/api/v1/crashes", "/api/v1/apps/app/log", "/api/v1/apps/app"} {
		if status, body := p.get(path); status != http.StatusOK || path != "/metrics" && strings.Contains(body, "<script") {
			t.Errorf("%s: %d %.300s", path, status, body)
		}
	}
}

// TestLeastRights: the rights that wrapp acl --panel prints suffice to show everything, and
// allow no writing.
func TestLeastRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	self, _ := os.Executable()
	cmd := exec.Command(self, "acl", "--panel")
	cmd.Env = append(os.Environ(), be+"=wrapp")
	rule, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var args []any
	for _, word := range strings.Fields(string(rule))[1:] {
		args = append(args, strings.Replace(word, ">PASSWORD", ">sesame", 1))
	}
	admin := s.Dial(0)
	if _, err := admin.Do("ACL", args...); err != nil {
		t.Fatal(err)
	}
	camera := runApp(t, s, "camera", pools, obeys)
	p := start(t, func(o *Options) {
		o.Boards[0].Redis.Username, o.Boards[0].Redis.Password = "jettison-panel", "sesame"
	}, s)
	p.await("camera", "depleted")
	camera.say(t, `echo hello; echo "{{n:5}}"`)
	b := p.open("/app/camera", 1280, 800, "light")
	b.wait(`document.getElementById("lines").innerText.includes("hello")`)
	camera.say(t, `echo live`)
	b.wait(`document.getElementById("lines").innerText.includes("live")`)
	eventually(t, "the value is read", func() bool {
		_, body := p.get("/api/v1/apps/camera")
		return strings.Contains(body, `"values":{"n":"5"}`)
	})
	log, err := redis.Values(admin.Do("ACL", "LOG"))
	if err != nil || len(log) > 0 {
		t.Errorf("Redis has refused something: %q, %v", log, err)
	}
	user := s.Dial(1, redis.DialUsername("jettison-panel"), redis.DialPassword("sesame"))
	for _, command := range [][]any{{"XADD", "logs:app:camera:info", "*", "message", "x"}, {"SET", "wrapp:camera:n", 1}, {"DEL", "logs:app:camera:info"}, {"FLUSHALL"}, {"CONFIG", "GET", "*"}, {"KEYS", "*"}, {"EVAL", "return 1", 0}, {"GET", "other"}} {
		if _, err := user.Do(command[0].(string), command[1:]...); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
			t.Errorf("%v: %v", command, err)
		}
	}
}

// TestMetrics: the format passes Prometheus's own linter.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	runApp(t, s, "camera", pools, obeys)
	p := start(t, nil, s, redistest.Prepare(t))
	p.await("camera", "depleted")
	var body string
	eventually(t, "the left board is there, and the right one is not", func() bool {
		_, body = p.get("/metrics")
		return strings.Contains(body, `jettison_board_up{board="right"} 0`) && strings.Contains(body, `jettison_board_up{board="left"} 1`)
	})
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	for _, want := range []string{
		`jettison_app_state{app="camera",board="left",state="depleted"} 1`, `jettison_board_up{board="right"} 0`, `jettison_board_up{board="left"} 1`,
		`jettison_app_pool_health{app="camera",board="left",pool="lock"} 0`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("%s is not in\n%s", want, body)
		}
	}
}

// TestAway: a board without Redis is shown as away, its apps as unknown. It comes back by
// itself.
func TestAway(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	runApp(t, s, "camera", pools, obeys)
	p := start(t, nil, s)
	p.await("camera", "depleted")
	b := p.open("/", 1280, 800, "light")
	b.wait(`document.getElementById("rows").innerText.includes("depleted")`)
	s.Down()
	b.wait(`document.querySelector(".board.down") && document.getElementById("top").innerText.includes("away since") && document.getElementById("rows").innerText.includes("board away")`)
	if _, body := p.get("/api/v1/apps/camera/log?board=left"); !strings.Contains(body, `"error":"board left: `) {
		t.Errorf("%s", body)
	}
	if status, _ := p.get("/healthz"); status != http.StatusOK {
		t.Errorf("the panel itself is %d", status)
	}
	s.Up()
	b.wait(`!document.querySelector(".board.down") && document.getElementById("rows").innerText.includes("depleted")`)
}

// TestTLS: with a certificate the panel speaks only TLS, and its cookie is Secure.
func TestTLS(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := x509.MarshalPKCS8PrivateKey(key)
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{"cert": {Type: "CERTIFICATE", Bytes: cert}, "key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, func(o *Options) {
		o.CertFile, o.KeyFile, o.TokenFile = filepath.Join(dir, "cert"), filepath.Join(dir, "key"), tokenFile(t, token)
	}, redistest.Start(t))
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(p.url+"login", url.Values{"token": {token}})
	if err != nil || !strings.HasPrefix(p.url, "https://") || !strings.Contains(answer.Header.Get("Set-Cookie"), "Secure") {
		t.Errorf("%s %v, %v", p.url, answer, err)
	}
	answer.Body.Close()
}

// TestCommand runs the program itself, from its flags to its end by a signal.
func TestCommand(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	self, _ := os.Executable()
	run := func(args ...string) (string, int) {
		cmd := exec.Command(self, args...)
		cmd.Env = append(os.Environ(), be+"=panel", "REDIS_URL=")
		said, _ := cmd.CombinedOutput()
		return string(said), cmd.ProcessState.ExitCode()
	}
	for want, args := range map[string][]string{
		"jettison_panel: error: no board: give --redis URL":                          nil,
		"unknown flag --redsi":                                                       {"--redsi", "redis://secret@h"},
		"--redis: must be redis://host:port":                                         {"--redis", "h:secret"},
		"--listen 0.0.0.0:1 can be reached from other machines":                      {"--redis", s.URL(), "--listen", "0.0.0.0:1"},
		"jettison_panel: error: /none.toml: cannot be read: no such file or directo": {"--config", "/none.toml"},
		"a configuration is a file, not a URL":                                       {"--config", "redis://:secret@h"},
		"--token-file: must be a file, not a URL":                                    {"--redis", s.URL(), "--token-file", "redis://:secret@h"},
		"--cert: must be a file, not a URL":                                          {"--redis", s.URL(), "--cert", "redis://:secret@h", "--key", "/none"},
		"--key: must be a file, not a URL":                                           {"--redis", s.URL(), "--cert", "/none", "--key", "redis://:secret@h"},
		"--listen: must be host:port, not a URL":                                     {"--redis", s.URL(), "--listen", "redis://:secret@h"},
	} {
		said, status := run(args...)
		if status != 125 || !strings.Contains(said, want) || strings.Contains(said, "secret") {
			t.Errorf("%q: %d %s", args, status, said)
		}
	}
	if said, status := run("--version"); status != 0 || !strings.HasPrefix(said, "jettison_panel ") {
		t.Errorf("%d %s", status, said)
	}
	port := redistest.FreePort(t)
	cmd := exec.Command(self, "--redis", s.URL(), "--listen", fmt.Sprintf("127.0.0.1:%d", port))
	cmd.Env = append(os.Environ(), be+"=panel")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it answers", func() bool {
		answer, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", port))
		if err == nil {
			answer.Body.Close()
		}
		return err == nil
	})
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil || !strings.Contains(said.String(), "the panel is at http://127.0.0.1:") {
		t.Errorf("%v: %s", err, &said)
	}
}
