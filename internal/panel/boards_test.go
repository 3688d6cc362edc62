package panel

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// wrappOf runs an app called camera; redis is the content of its table [redis].
func wrappOf(t *testing.T, redis string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "wrapp.toml")
	text := "[redis]\n" + redis + "[app]\nexecutable = \"/bin/bash\"\nstream_name = \"camera\"\nargs = [\"-c\", \"echo 'hello {{n:5}}'; sleep 1000\"]\n" +
		"[health.pools.lock]\ncap = 10\ndepletion_rate = 5\nreplenish_rate = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	self, _ := os.Executable()
	wrapp := exec.Command(self, file)
	wrapp.Env = append(os.Environ(), be+"=wrapp", "WRAPP_SPOOL_DIR="+dir)
	wrapp.Stderr = t.Output()
	if err := wrapp.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		wrapp.Process.Signal(os.Interrupt)
		wrapp.Wait()
	})
}

// boardsFile starts a panel for a file of boards with this text.
func boardsFile(t *testing.T, text string) *testPanel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "boards.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	boards, err := config.LoadBoards(file)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, func(o *Options) { o.Boards = boards })
}

// TestBoardNames: of two boards with one name, the second gets a name that no other has.
func TestBoardNames(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := start(t, func(o *Options) {
		for _, name := range []string{"cam", "cam-2", "cam", "cam"} {
			o.Boards = append(o.Boards, config.Board{Name: name, Redis: s.Config().Redis})
		}
	})
	var names []string
	for _, b := range p.boardViews() {
		names = append(names, b.Name)
	}
	if got := strings.Join(names, " "); got != "cam cam-2 cam-3 cam-4" {
		t.Error(got)
	}
	if status, body := p.get("/metrics"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

// TestBoardsOf: REDIS_URL is the address of a board that neither a file nor a flag gives one.
func TestBoardsOf(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	app := file("app.toml", "[app]\nexecutable = \"/x\"\n")
	there := file("there.toml", "[redis]\nhost = \"there\"\n")
	boards := file("boards.toml", "[boards.a]\nusername = \"u\"\n[boards.b]\nhost = \"b\"\n")
	const env = "redis://env:1"
	for _, tt := range []struct {
		urls, files []string
		env         string
		want        string // name=address
	}{
		{nil, nil, "", ""},
		{nil, nil, env, "env:1=env:1"},
		{[]string{"redis://flag"}, nil, env, "flag:6379=flag:6379"},
		{nil, []string{app}, "", "localhost:6379=localhost:6379"},
		{nil, []string{app}, env, "env:1=env:1"},
		{[]string{"redis://flag"}, []string{there}, env, "there:6379=there:6379 flag:6379=flag:6379"},
		{nil, []string{boards}, env, "a=env:1 b=b:6379"},
	} {
		boards, err := boardsOf(tt.urls, tt.files, func(string) string { return tt.env })
		var got []string
		for i := range boards {
			got = append(got, boards[i].Name+"="+boards[i].Redis.Where())
		}
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%q, %q, %q: %q, %v, want %q", tt.urls, tt.files, tt.env, got, err, tt.want)
		}
	}
	if _, err := boardsOf(nil, []string{app}, func(string) string { return "redis://h/3" }); err == nil || !strings.HasPrefix(err.Error(), "REDIS_URL: ") {
		t.Error(err)
	}
}

// shows checks that the panel shows the camera's state, live log and values of a board.
func (p *testPanel) shows(board string) {
	p.t.Helper()
	p.await("camera", "depleted")
	b := p.open("/app/camera?board="+board, 1280, 800, "light")
	b.wait(`document.getElementById("lines").innerText.includes("hello") && document.getElementById("live").textContent.includes("live")`)
	eventually(p.t, "the value is read", func() bool {
		_, body := p.get("/api/v1/apps/camera?board=" + board)
		return strings.Contains(body, `"values":{"n":"5"}`)
	})
}

// patient is for a slow machine, on which a new client of several servers takes more than the default, and for
// one whose first attempt hangs.
const patient = "connect_timeout = \"10s\"\n"

// TestCluster: a board may be a Redis Cluster.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, false)
	addrs := patient + fmt.Sprintf("cluster.addrs = [%q]\n", redistest.Addrs(cluster.Masters)[0])
	wrappOf(t, addrs)
	boardsFile(t, "[boards.three]\n"+addrs).shows("three")
}

// TestSentinel: sentinels may name a board's master, and the panel follows it.
func TestSentinel(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.StartReplica(t, master)
	sentinels := redistest.StartSentinels(t, master, 3)
	addrs := patient + fmt.Sprintf("sentinel.master = \"mymaster\"\nsentinel.addrs = [%q, %q, %q]\n", sentinels[0].Addr(), sentinels[1].Addr(), sentinels[2].Addr())
	wrappOf(t, addrs)
	p := boardsFile(t, "[boards.watched]\n"+addrs)
	p.shows("watched")
	master.Down()
	replica.Wait("the failover", replica.IsMaster)
	if _, err := replica.Dial(1).Do("XADD", "logs:app:camera:info", "*", "message", "by the new master"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new master is read", func() bool {
		_, body := p.get("/api/v1/apps/camera/log?board=watched")
		return strings.Contains(body, "by the new master")
	})
	p.await("camera", "depleted")
}

// TestBoardTLS: a board may speak only TLS, and ask for a certificate and a password from
// files. A board with an untrusted certificate is away, and the page says why.
func TestBoardTLS(t *testing.T) {
	t.Parallel()
	a := redistest.NewAuthority(t)
	s := redistest.StartTLS(t, a, true, time.Now().Add(time.Hour), "127.0.0.1")
	if _, err := s.Dial(0).Do("ACL", "SETUSER", "default", "resetpass", ">s3same"); err != nil {
		t.Fatal(err)
	}
	cert, key := a.Issue("panel", time.Now().Add(time.Hour))
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("s3same\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	board := func(ca string) string {
		return fmt.Sprintf("url = \"rediss://%s\"\npassword_file = %q\ntls.ca_file = %q\ntls.cert_file = %q\ntls.key_file = %q\n", s.Addr(), password, ca, cert, key)
	}
	wrappOf(t, board(a.File))
	p := boardsFile(t, "[boards.safe]\n"+board(a.File)+"[boards.strange]\n"+board(redistest.NewAuthority(t).File))
	p.shows("safe")
	b := p.open("/", 1280, 800, "light")
	b.wait(`document.querySelectorAll(".board.down").length == 1 && document.querySelector(".board.down").innerText.match(/strange[^]*away since[^]*certificate/)`)
	if _, body := p.get("/api/v1/boards"); strings.Contains(body, "s3same") {
		t.Errorf("the password is shown: %s", body)
	}
}
