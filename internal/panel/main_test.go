package panel

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/command"
	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// be, set in the environment, makes this test binary another program.
const be = "TEST_BE"

func TestMain(m *testing.M) {
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	os.Setenv("LC_ALL", "C.UTF-8") // bash complains of a locale that is not installed
	switch what := os.Getenv(be); what {
	case "wrapp":
		os.Unsetenv(be)
		command.Main(command.WrappWith(redistest.Patient))
	case "panel":
		os.Unsetenv(be)
		command.Main(Main)
	case "history":
		fillHistory()
		os.Exit(0)
	}
	// Most tests wait for other processes.
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	}
	code := m.Run()
	stopBrowser()
	os.Exit(code)
}

var eventually = redistest.Eventually

// A testPanel is a panel that runs in this process.
type testPanel struct {
	*Server
	t     *testing.T
	url   string
	token string
}

// start starts a panel for boards; with sets further options.
func start(t *testing.T, with func(*Options), servers ...*redistest.Server) *testPanel {
	t.Helper()
	o := Options{Listen: "127.0.0.1:0", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for i, s := range servers {
		o.Boards = append(o.Boards, config.Board{Name: []string{"left", "right", "third"}[i], Redis: s.Config().Redis})
	}
	if with != nil {
		with(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &testPanel{Server: s, t: t}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	listening := make(chan string, 1)
	running.Go(func() {
		if err := s.Run(ctx, func(url string) { listening <- url }); err != nil {
			t.Error(err)
			close(listening)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	if p.url = <-listening; p.url == "" {
		t.FailNow()
	}
	return p
}

// as returns the panel for a subtest.
func (p *testPanel) as(t *testing.T) *testPanel { return &testPanel{p.Server, t, p.url, p.token} }

// get requests a page and returns its status and body.
func (p *testPanel) get(path string, header ...string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(p.url, "/")+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	if p.token != "" && r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// read requests a page of the API and decodes the answer into to.
func (p *testPanel) read(path string, to any) {
	p.t.Helper()
	status, body := p.get("/api/v1" + path)
	if status != http.StatusOK {
		p.t.Fatalf("%s: %d %s", path, status, body)
	}
	if err := json.Unmarshal([]byte(body), to); err != nil {
		p.t.Fatalf("%s: %v in %s", path, err, body)
	}
}

// apps returns the apps that the API lists, by name.
func (p *testPanel) apps() map[string]map[string]any {
	var all struct{ Apps []map[string]any }
	p.read("/apps", &all)
	named := make(map[string]map[string]any)
	for _, a := range all.Apps {
		named[a["name"].(string)] = a
	}
	return named
}

// await waits until an app is in a state.
func (p *testPanel) await(name, state string) {
	p.t.Helper()
	eventually(p.t, name+" is "+state, func() bool { return p.apps()[name]["state"] == state })
}

// A wrapped is a wrapp that runs an app.
type wrapped struct {
	cmd *exec.Cmd
	in  *os.File // the app's standard input
}

// runApp runs a shell script as an app under wrapp. Its standard input is a pipe.
func runApp(t *testing.T, s *redistest.Server, name, toml, script string) *wrapped {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("[redis]\nport = %d\nhost = \"127.0.0.1\"\n[app]\nexecutable = \"/bin/bash\"\nargs = [\"-c\", %q]\nstream_name = %q\n%s\n", s.Port, script, name, toml)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, file)
	cmd.Env = append(os.Environ(), be+"=wrapp", "WRAPP_SPOOL_DIR="+dir)
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, r, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() {
		w.Close()
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	return &wrapped{cmd, w}
}

// say sends a line to the app's standard input.
func (w *wrapped) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(w.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// obeys is the script of an app that carries out the lines of its standard input.
const obeys = `while IFS= read -r line; do eval "$line"; done`
