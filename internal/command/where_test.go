package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redisconn"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// everywhere has the ways to run Redis. Each starts its servers, and returns the tables of the
// configuration that reach them, and the servers.
var everywhere = map[string]func(*testing.T) (tables string, servers []*redistest.Server){
	"TLS": func(t *testing.T) (string, []*redistest.Server) {
		a := redistest.NewAuthority(t)
		tomorrow := time.Now().Add(24 * time.Hour)
		s := redistest.StartTLS(t, a, true, tomorrow, "redis.test")
		cert, key := a.Issue("wrapp", tomorrow)
		return fmt.Sprintf("host = '127.0.0.1'\nport = %d\n[redis.tls]\nca_file = %q\ncert_file = %q\nkey_file = %q\nserver_name = 'redis.test'\n",
			s.Port, a.File, cert, key), []*redistest.Server{s}
	},
	"socket": func(t *testing.T) (string, []*redistest.Server) {
		socket := filepath.Join(redistest.SocketDir(t), "redis.sock")
		s := redistest.Start(t, "--unixsocket", socket)
		return fmt.Sprintf("socket = %q\n", socket), []*redistest.Server{s}
	},
	"Sentinel": func(t *testing.T) (string, []*redistest.Server) {
		master := redistest.Start(t)
		replica := redistest.StartReplica(t, master)
		sentinels := redistest.StartSentinels(t, master, 3, redistest.NoFailover)
		return fmt.Sprintf("[redis.sentinel]\nmaster = 'mymaster'\naddrs = ['%s']\n",
			strings.Join(redistest.Addrs(sentinels), "', '")), []*redistest.Server{master, replica}
	},
	"Cluster": func(t *testing.T) (string, []*redistest.Server) {
		c := redistest.StartCluster(t, 3, false)
		return fmt.Sprintf("[redis.cluster]\naddrs = ['%s']\n", strings.Join(redistest.Addrs(c.Masters), "', '")), c.Masters
	},
}

// limitedApp writes eight lines, and markers of every kind.
const limitedApp = `
echo '{{__healthpool__api_cap:7}}'
for i in 1 2 3 4 5 6 7 8; do
	echo "{{n}}{{k$i:$i}}{{d:0.5}}{{d}}line $i"
	sleep 0.02
done
`

// TestEverywhere runs an app with exactly the rules that `wrapp acl` prints, and reads its
// lines, values and pools back, with every way to run Redis.
func TestEverywhere(t *testing.T) {
	t.Parallel()
	for mode, start := range everywhere {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			tables, servers := start(t)
			write := func(name, user string) string {
				file := filepath.Join(t.TempDir(), name)
				if err := os.WriteFile(file, []byte("[redis]\n"+user+tables), 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
			admin := write("admin.toml", "")
			out, err := wrapp(t, "acl", "--config", admin, "limited").Output()
			if err != nil {
				t.Fatal(err)
			}
			rules := strings.Fields(strings.ReplaceAll(string(out), "PASSWORD", "pw"))
			for _, s := range servers {
				c := s.Dial(0)
				if _, err := c.Do(rules[0], redis.Args{}.AddFlat(rules[1:])...); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Do("ACL", "SETUSER", "reader", "on", ">pw", "resetkeys", "-@all", "+select", "+xrevrange", "+xread", "+mget", "+scan",
					"+role", "+cluster|slots", "+asking", "~logs:app:*", "~*:__healthpool__*"); err != nil {
					t.Fatal(err)
				}
			}
			reader := write("reader.toml", "username = 'reader'\npassword = 'pw'\n")
			follow := wrapp(t, "logs", "--config", reader, "-f", "limited")
			lines, err := follow.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			follow.Stderr = t.Output()
			begin(t, follow)

			script := filepath.Join(t.TempDir(), "app")
			if err := os.WriteFile(script, []byte(limitedApp), 0o600); err != nil {
				t.Fatal(err)
			}
			file := write("run.toml", fmt.Sprintf("username = '%s'\npassword = 'pw'\n", rules[2]))
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text = fmt.Appendf(text, "[app]\nexecutable = 'sh'\nargs = [%q]\nstream_name = 'limited'\n[health.pools.api]\ncap = 7\n", script)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			said, err := wrapp(t, "--verbose", file).CombinedOutput()
			// Warnings are no error: a busy machine may lose a connection.
			if err != nil || strings.Contains(string(said), "error: ") || strings.Contains(string(said), "NOPERM") {
				t.Fatalf("the rules do not suffice, %v: %s", err, said)
			}

			// wrapp logs -f printed the same as wrapp logs does.
			var followed strings.Builder
			buf := make([]byte, 4096)
			for !strings.Contains(followed.String(), "ended: ") {
				n, err := lines.Read(buf)
				followed.Write(buf[:n])
				if err != nil {
					t.Fatalf("wrapp logs -f: %v: %s", err, followed.String())
				}
			}
			read, err := wrapp(t, "logs", "--config", reader, "limited").Output()
			if err != nil {
				t.Error(err)
			}
			for what, text := range map[string]string{"wrapp logs": string(read), "wrapp logs -f": followed.String()} {
				at := 0
				for i := range 8 {
					line := fmt.Sprint("line ", i+1)
					if found := strings.Index(text[at:], line); found < 0 || strings.Count(text, line) != 1 {
						t.Errorf("%s: not %q, once and in order: %s", what, line, text)
					} else {
						at += found
					}
				}
			}
			for _, args := range [][]string{{"limited:api"}, {"--all"}} {
				shown, err := tool(t, "jettison_health", append([]string{"--config", reader}, args...)...).Output()
				if err != nil || !strings.Contains(string(shown), `"cap": 7`) || !strings.Contains(string(shown), `"limited:api"`) {
					t.Errorf("%v: %v: %s", args, err, shown)
				}
			}
			cfg, err := config.Load(admin)
			if err != nil {
				t.Fatal(err)
			}
			redistest.Patient(cfg)
			conn, err := redisconn.Dial(context.Background(), &cfg.Redis, cfg.Redis.ValuesDB)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			for key, want := range map[string]string{"n": "8", "k5": "5", "d": "1.5"} {
				if got, err := conn.Do(t.Context(), conn.B().Get().Key("wrapp:limited:"+key).Build()).ToString(); got != want {
					t.Errorf("%s: %q, %v, want %q", key, got, err, want)
				}
			}
		})
	}
}
