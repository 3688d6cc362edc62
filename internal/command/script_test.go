package command

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// beWrapp, set in the environment, makes this test binary wrapp.
const beWrapp = "TEST_BE_WRAPP"

// tools are the commands that this test binary can be.
var tools = map[string]func(){
	"wrapp":           func() { Main(WrappWith(redistest.Patient)) },
	"jettison_health": func() { Main(JettisonHealth) },
}

func TestMain(m *testing.M) {
	// The race detector sleeps for a second at every exit unless told otherwise.
	os.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
	if os.Getenv(deny) != "" {
		denied()
	}
	if tool := os.Getenv(beWrapp); tool != "" {
		os.Unsetenv(beWrapp)
		tools[tool]()
	}
	testscript.Main(prepared{m}, tools)
}

// shared is a directory for files that several tests use.
var shared string

// prepared runs the tests, with the directory that they share.
type prepared struct{ m *testing.M }

func (p prepared) Run() int {
	flag.Parse()
	redistest.ForOtherUsers()
	os.Setenv("LC_ALL", "C.UTF-8") // bash complains of a locale that is not installed
	// Signals that were ignored when the tests were started, as by nohup, would stay ignored
	// in every app.
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU} {
		if signal.Ignored(sig) {
			signal.Notify(make(chan os.Signal, 1), sig)
		}
	}
	// Most tests here wait for other processes.
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0)))
	}
	var err error
	if shared, err = os.MkdirTemp("", "jettison-command-"); err == nil {
		err = os.Chmod(shared, 0o755) // for apps of other users
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(shared)
	return p.m.Run()
}

// TestScripts runs testdata/script. All scripts share the server $REDIS. $UNREADABLE is the
// same for a user who may not read, $LOCKED a server with a password, $NOWHERE no server, and
// $PAUSED a server that pause stops.
func TestScripts(t *testing.T) {
	shared := redistest.Start(t)
	locked := redistest.Start(t, "--requirepass", "s3same-open")
	nowhere := redistest.Prepare(t)
	pausable := redistest.Start(t)
	if _, err := shared.Dial(0).Do("ACL", "SETUSER", "blind", "on", ">s3same", "-@all", "+select", "+scan", "~*"); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "", // write the actual output, for review
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("WRAPP_SPOOL_DIR", env.WorkDir+"/.spool")
			env.Setenv("REDIS", shared.URL())
			env.Setenv("REDIS_PORT", fmt.Sprint(shared.Port))
			env.Setenv("LOCKED", locked.URL())
			env.Setenv("LOCKED_PORT", fmt.Sprint(locked.Port))
			env.Setenv("NOWHERE", nowhere.URL())
			env.Setenv("NOWHERE_PORT", fmt.Sprint(nowhere.Port))
			env.Setenv("UNREADABLE", "redis://blind:s3same@"+shared.Addr())
			env.Setenv("PAUSED", pausable.URL())
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("no condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// stream NAME:STREAM prints the stream's entries, one a line: the message, then the
			// other fields.
			"stream": func(ts *testscript.TestScript, _ bool, args []string) {
				var text strings.Builder
				for _, e := range shared.Stream("logs:app:" + args[0]) {
					fmt.Fprintf(&text, "%q", e.Message())
					for _, f := range []string{"source", "partial", "level"} {
						if v, ok := e.Fields[f]; ok {
							fmt.Fprintf(&text, " %s=%s", f, v)
						}
					}
					text.WriteByte('\n')
				}
				fmt.Fprint(ts.Stdout(), text.String())
			},
			// until PATTERN COMMAND... repeats a command until a line of its output matches.
			"until": func(ts *testscript.TestScript, _ bool, args []string) {
				pattern := regexp.MustCompile("(?m)" + args[0])
				shared.Wait(strings.Join(args, " "), func() bool {
					return ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
				})
			},
			// living NAME waits until the hash of the app's run counts a line.
			"living": func(ts *testscript.TestScript, _ bool, args []string) {
				shared.Wait("a lease of "+args[0], func() bool {
					keys, _ := redis.Strings(shared.Dial(2).Do("KEYS", "wrapp-run:"+args[0]+":*"))
					if len(keys) != 1 {
						return false
					}
					lines, _ := redis.String(shared.Dial(2).Do("HGET", keys[0], "lines"))
					return lines == "1"
				})
			},
			// signature NAME FRAME sets $SIGNATURE to the first digits of a report's signature.
			"signature": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, e := range shared.Stream("logs:app:" + args[0] + ":crash") {
					if strings.HasPrefix(e.Fields["frame"], args[1]) {
						ts.Setenv("SIGNATURE", e.Fields["signature"][:8])
						return
					}
				}
				ts.Fatalf("no report of %s in %s", args[1], args[0])
			},
			// set NAME VALUE... sets keys of the database of values.
			"set": func(ts *testscript.TestScript, _ bool, args []string) {
				c, err := redis.Dial("tcp", shared.Addr(), redis.DialDatabase(2))
				ts.Check(err)
				defer c.Close()
				_, err = c.Do("MSET", redis.Args{}.AddFlat(args)...)
				ts.Check(err)
			},
			// pause and resume act on the server $PAUSED.
			"pause":  func(*testscript.TestScript, bool, []string) { pausable.Pause() },
			"resume": func(*testscript.TestScript, bool, []string) { pausable.Resume() },
		},
	})
}
