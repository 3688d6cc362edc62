package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gomodule/redigo/redis"
)

// Eventually waits until done returns true, two minutes at most. It sleeps four times as
// long as a call of done took, to leave the processors to the code under test.
func Eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); ; {
		begun := time.Now()
		if done() {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("not within 2 minutes: %s", what)
		}
		time.Sleep(max(5*time.Millisecond, 4*time.Since(begun)))
	}
}

// Wait waits until done returns true.
func (s *Server) Wait(what string, done func() bool) {
	s.t.Helper()
	Eventually(s.t, s.Addr()+": "+what, done)
}

// Info returns a section of INFO, or "" if the server does not answer.
func (s *Server) Info(section string) string { return s.tryText("INFO", section) }

// answer is how long tryText waits for a reply. A stopped server never replies.
const answer = 10 * time.Second

// tryText returns the text that a command answers, or "" if the server does not answer.
func (s *Server) tryText(command string, args ...any) string {
	c, err := redis.Dial("tcp", s.Addr(), append(s.options(), redis.DialConnectTimeout(answer), redis.DialReadTimeout(answer))...)
	if err != nil {
		return ""
	}
	defer c.Close()
	text, _ := redis.String(c.Do(command, args...))
	return text
}

// Promote has a sentinel make the server, a replica of mymaster, the master. The sentinel is asked
// again until it is: on a busy machine it may give up a failover that it has begun.
func (s *Server) Promote(sentinel redis.Conn) {
	s.t.Helper()
	s.Wait("the promotion by command", func() bool {
		if s.IsMaster() {
			return true
		}
		sentinel.Do("SENTINEL", "FAILOVER", "mymaster")
		return false
	})
}

// IsMaster reports whether the server answers and is a master.
func (s *Server) IsMaster() bool { return strings.Contains(s.Info("replication"), "role:master") }

// HasReplica reports whether the server has a replica that has caught up.
func (s *Server) HasReplica() bool { return strings.Contains(s.Info("replication"), "state=online") }

// StartReplica starts a replica of master and waits until it has the data.
func StartReplica(t testing.TB, master *Server, args ...string) *Server {
	t.Helper()
	s := Prepare(t, append([]string{"--replicaof", "127.0.0.1", fmt.Sprint(master.Port), "--repl-diskless-sync-delay", "0"}, args...)...)
	s.Up()
	s.Wait("the replica's link", func() bool { return strings.Contains(s.Info("replication"), "master_link_status:up") })
	return s
}

// NoFailover is a configuration line for sentinels that must not depose a busy master.
const NoFailover = "sentinel down-after-milliseconds mymaster 600000"

// StartSentinels starts n sentinels that watch master, which has one replica, under the
// name "mymaster". more are further lines of their configuration.
func StartSentinels(t testing.TB, master *Server, n int, more ...string) []*Server {
	t.Helper()
	var all []*Server
	for range n {
		s := Prepare(t)
		file := filepath.Join(s.Dir, "sentinel.conf")
		text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\n"+
			"sentinel monitor mymaster 127.0.0.1 %d %d\n"+
			"sentinel down-after-milliseconds mymaster 2000\n"+
			"sentinel failover-timeout mymaster 4000\n%s\n", s.Port, s.Dir, master.Port, n/2+1, strings.Join(more, "\n"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.file = []string{file, "--sentinel"}
		s.Up()
		all = append(all, s)
	}
	for _, s := range all {
		s.Wait("the sentinels' knowing each other", func() bool {
			return strings.Contains(s.Info("sentinel"), fmt.Sprintf("slaves=1,sentinels=%d", n))
		})
	}
	return all
}

// Addrs returns the addresses of servers.
func Addrs(servers []*Server) (addrs []string) {
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	return addrs
}
