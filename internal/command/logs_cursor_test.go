package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// shipped is a line that `wrapp logs --output json` printed.
type shipped struct {
	ID  string `json:"_id"`
	App string `json:"service"`
	Msg string `json:"msg"`
}

// ship runs `wrapp logs --cursor` once and returns its lines and its stderr.
func ship(t *testing.T, s *redistest.Server, cursor string, args ...string) (lines []shipped, told string) {
	t.Helper()
	cmd := wrapp(t, append([]string{"logs", "--redis", s.URL(), "--output", "json", "--cursor", cursor}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	for text := range strings.Lines(out.String()) {
		var line shipped
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, line)
	}
	return lines, errs.String()
}

// add adds numbered entries, trimmed to most.
func add(t *testing.T, c redis.Conn, app string, from, n, most int, fields ...any) {
	t.Helper()
	for i := from; i < from+n; i++ {
		args := append([]any{"logs:app:" + app + ":info", "MAXLEN", most, "*", "message", fmt.Sprintf("line %d", i)}, fields...)
		if err := c.Send("XADD", args...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Do(""); err != nil {
		t.Fatal(err)
	}
}

// TestCursorKilled kills the reader again and again while apps write. No line is missing, and
// only the last printed lines come twice.
func TestCursorKilled(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	const lines, kills = 40_000, 8
	dir := t.TempDir()
	cursor, file := filepath.Join(dir, "cursor"), filepath.Join(dir, "lines")
	begun := func() *exec.Cmd {
		cmd := wrapp(t, "logs", "--redis", s.URL(), "--all", "-f", "--output", "json", "--cursor", cursor)
		out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, t.Output()
		begin(t, cmd)
		return cmd
	}
	size := func() int64 {
		info, err := os.Stat(file)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	c := s.Dial(1)
	reader := begun()
	for part := range kills {
		before := size()
		for i := range lines / kills {
			n := part*(lines/kills) + i
			for _, app := range []string{"a", "b"} {
				c.Send("XADD", "logs:app:"+app+":info", "*", "message", fmt.Sprintf("line %d", n))
			}
			if n%100 == 50 { // a line in pieces, with others of its app between
				c.Send("XADD", "logs:app:a:info", "*", "message", "err ", "partial", "1", "source", "stderr")
				c.Send("XADD", "logs:app:b:info", "*", "message", "whole", "source", "stderr")
			}
			if n%100 == 99 {
				c.Send("XADD", "logs:app:a:info", "*", "message", "joined", "source", "stderr")
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "lines are printed", func() bool { return size() > before })
		if err := reader.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		reader.Wait()
		reader = begun()
		if _, err := c.Do(""); err != nil {
			t.Fatal(err)
		}
	}
	last := fmt.Sprintf("line %d", lines-1)
	eventually(t, "the last lines are printed", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Count(text, []byte(`"msg":"`+last+`"`)) >= 2
	})
	if err := reader.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := reader.Wait(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	next, back, torn, twice := map[string]int{}, map[string]int{}, 0, 0
	joined := map[string]bool{}
	for row := range strings.Lines(string(text)) {
		var l shipped
		if err := json.Unmarshal([]byte(row), &l); err != nil {
			torn++ // the next reader begins a new line
			continue
		}
		number, ok := strings.CutPrefix(l.Msg, "line ")
		if !ok {
			if l.Msg != "err joined" && l.Msg != "whole" {
				t.Fatalf("%+v", l)
			}
			joined[l.ID] = true
			continue
		}
		n, err := strconv.Atoi(number)
		if err != nil || n > next[l.App] {
			t.Fatalf("%s: line %d is missing before %s", l.App, next[l.App], number)
		}
		if n < next[l.App] {
			back[l.App]++
			twice += next[l.App] - n
		}
		next[l.App] = n + 1
	}
	t.Logf("%d kills: %d lines came twice, %d were cut off", kills, twice, torn)
	if next["a"] != lines || next["b"] != lines || back["a"] > kills || back["b"] > kills || torn > kills {
		t.Errorf("got to %v, began again %v times, %d torn", next, back, torn)
	}
	if len(joined) != 2*lines/100 {
		t.Errorf("%d of %d lines of stderr", len(joined), 2*lines/100)
	}
	if more, told := ship(t, s, cursor, "--all"); len(more) > 0 || told != "" {
		t.Errorf("%d more lines after the end: %s", len(more), told)
	}
}

// TestCursorPieces ends the reader between the pieces of a line. The line comes whole with its
// last piece, and the entries between its pieces come again.
func TestCursorPieces(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	cursor := filepath.Join(t.TempDir(), "cursor")
	xadd := func(fields ...any) {
		t.Helper()
		if _, err := c.Do("XADD", append([]any{"logs:app:a:info", "*"}, fields...)...); err != nil {
			t.Fatal(err)
		}
	}
	want := func(wanted ...string) {
		t.Helper()
		var got []string
		lines, told := ship(t, s, cursor, "a")
		for _, l := range lines {
			got = append(got, l.Msg)
		}
		if !slices.Equal(got, wanted) || told != "" {
			t.Errorf("%q, told %q; want %q", got, told, wanted)
		}
	}
	xadd("message", "before")
	xadd("message", "cut ", "partial", "1", "source", "stderr")
	xadd("message", "between")
	want("before", "between")
	want("between")
	xadd("message", "in two", "source", "stderr")
	want("between", "cut in two")
	want()
}

// counts reports whether this Redis counts the entries that were added to a stream.
func counts(t *testing.T, c redis.Conn, key string) bool {
	t.Helper()
	state, err := redis.Values(c.Do("XINFO", "STREAM", key))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(state, func(name any) bool { return fmt.Sprintf("%s", name) == "entries-added" })
}

// TestCursorTrimmed trims the stream before the reader starts, and while it is too slow: each
// entry is printed or counted.
func TestCursorTrimmed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	cursor := filepath.Join(t.TempDir(), "cursor")
	const most = 1000
	add(t, c, "a", 0, 1500, most)
	counts := counts(t, c, "logs:app:a:info")
	for _, tt := range []struct{ add, lines, missed int }{{0, 1000, 500}, {10, 10, 0}, {1000, 1000, 0}, {1001, 1000, 1}, {7000, 1000, 6000}, {0, 0, 0}} {
		add(t, c, "a", 0, tt.add, most)
		lines, told := ship(t, s, cursor, "a")
		want := ""
		if tt.missed > 0 {
			want = fmt.Sprintf("wrapp: warning: entries were trimmed before they were read stream=logs:app:a:info entries=%d\n", tt.missed)
		}
		if !counts {
			want = ""
			if tt.add >= most { // the last entry that was read is gone, and perhaps others behind it
				want = "wrapp: warning: entries may have been trimmed before they were read; this Redis does not count them stream=logs:app:a:info\n"
			}
		}
		if len(lines) != tt.lines || told != want {
			t.Errorf("%+v: %d lines, told %q", tt, len(lines), told)
		}
	}

	cmd := wrapp(t, "logs", "--redis", s.URL(), "--output", "json", "--cursor", cursor, "-f", "a")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	cmd.Stderr = &told
	begin(t, cmd)
	const added = 60_000
	add(t, c, "a", 0, 1, most)
	lines := bufio.NewReader(out)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	add(t, c, "a", 1, added-1, most) // far more than the pipe holds
	printed := 1
	for last := fmt.Sprintf(`"msg":"line %d"`, added-1); ; printed++ {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, last) {
			printed++
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	missed := 0
	for _, m := range regexp.MustCompile(`entries=(\d+)`).FindAllStringSubmatch(told.String(), -1) {
		n, _ := strconv.Atoi(m[1])
		missed += n
	}
	t.Logf("%d printed, %d missed", printed, missed)
	if counts && (printed+missed != added || missed == 0) || !counts && !strings.Contains(told.String(), "may have been trimmed") {
		t.Errorf("%d printed and %d missed are not %d: %s", printed, missed, added, &told)
	}
}

// TestCursorAnew deletes a stream. The new one has smaller IDs than the cursor, with an older
// clock, or else fewer entries than the cursor counted.
func TestCursorAnew(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	cursor := filepath.Join(t.TempDir(), "cursor")
	const key, anew = "logs:app:a:info", "stream was deleted and begun anew"
	add(t, c, "a", 0, 100, 1000)
	if lines, told := ship(t, s, cursor, "a"); len(lines) != 100 || told != "" {
		t.Fatalf("%d lines, told %q", len(lines), told)
	}
	for _, id := range []string{"1000-0", "*"} {
		if _, err := c.Do("DEL", key); err != nil {
			t.Fatal(err)
		}
		if lines, told := ship(t, s, cursor, "a"); len(lines) != 0 || told != "" {
			t.Errorf("no stream: %v, told %q", lines, told)
		}
		if _, err := c.Do("XADD", key, id, "message", "of the new one"); err != nil {
			t.Fatal(err)
		}
		lines, told := ship(t, s, cursor, "a")
		if !counts(t, c, key) && id == "*" {
			told += anew // only the count reveals it
		}
		if len(lines) != 1 || lines[0].Msg != "of the new one" || strings.Count(told, anew) != 1 {
			t.Errorf("%s: %v, told %q", id, lines, told)
		}
		add(t, c, "a", 0, 20, 1000)
		if lines, told := ship(t, s, cursor, "a"); len(lines) != 20 || told != "" {
			t.Errorf("%s: %d lines more, told %q", id, len(lines), told)
		}
	}
}

// TestCursorRights: without +xinfo|stream all lines come, and one warning names the loss.
func TestCursorRights(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	c := s.Dial(1)
	cursor := filepath.Join(t.TempDir(), "cursor")
	if _, err := c.Do("ACL", redis.Args{}.Add("SETUSER", "reader", "on", ">pw", "resetkeys", "-@all", "+hello", "+select", "+xread", "+scan", "~logs:app:*")...); err != nil {
		t.Fatal(err)
	}
	for _, mended := range []bool{false, true} {
		add(t, c, "a", 0, 10, 1000)
		cmd := wrapp(t, "logs", "--redis", "redis://reader:pw@"+s.Addr(), "--json", "--cursor", cursor, "--all")
		var told strings.Builder
		cmd.Stderr = &told
		out, err := cmd.Output()
		if n := bytes.Count(out, []byte("\n")); err != nil || n != 10 || strings.Contains(told.String(), "+xinfo|stream") == mended {
			t.Errorf("%v, %d lines, told %q", err, n, told.String())
		}
		if _, err := c.Do("ACL", "SETUSER", "reader", "+xinfo|stream"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCursorRedisAway starts the reader before Redis, and it goes on after Redis was away.
// Credentials that Redis refuses end it.
func TestCursorRedisAway(t *testing.T) {
	t.Parallel()
	s := redistest.Prepare(t, "--appendonly", "yes")
	cursor := filepath.Join(t.TempDir(), "cursor")
	cmd := wrapp(t, "logs", "--redis", s.URL(), "--json", "--cursor", cursor, "-f", "--all")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	begin(t, cmd)
	says := bufio.NewScanner(told)
	lines := bufio.NewScanner(out)
	for n := range 3 {
		if !says.Scan() || !strings.Contains(says.Text(), "redis is away; reading goes on when it is back") {
			t.Fatalf("told %q", says.Text())
		}
		s.Up()
		c := s.Dial(1)
		add(t, c, "a", n, 1, 1000)
		c.Close()
		if !lines.Scan() || !strings.Contains(lines.Text(), fmt.Sprintf(`"msg":"line %d"`, n)) {
			t.Fatalf("printed %q", lines.Text())
		}
		if !says.Scan() || says.Text() != "wrapp: redis is back" {
			t.Fatalf("told %q", says.Text())
		}
		s.Down()
	}
	s.Up()
	refused := wrapp(t, "logs", "--redis", "redis://stranger:pw@"+s.Addr(), "--cursor", cursor+"2", "-f", "--all")
	if text, err := refused.CombinedOutput(); code(t, err) != 125 || !bytes.Contains(text, []byte("redis refuses us")) {
		t.Errorf("%v: %s", err, text)
	}
}
