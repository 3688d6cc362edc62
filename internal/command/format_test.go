package command

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/gomodule/redigo/redis"

	"github.com/lpportorino/jettison-base-images/internal/fleet"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A page has the tables of docs/format.md, by the heading of their first column.
type page map[string][][]string

var codes = regexp.MustCompile("`[^`]+`")

// literals returns the texts between backticks in a cell.
func literals(cell string) []string {
	found := codes.FindAllString(cell, -1)
	for i := range found {
		found[i] = strings.Trim(found[i], "`")
	}
	return found
}

func readPage(t *testing.T) page {
	t.Helper()
	text, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	p, title := page{}, ""
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "|") {
			title = ""
			continue
		}
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case title == "":
			title = cells[0]
		case !strings.HasPrefix(cells[0], "---"):
			p[title] = append(p[title], cells)
		}
	}
	return p
}

// patterns returns the pattern of each name in a table.
func (p page) patterns(t *testing.T, title string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, row := range p[title] {
		pattern := "(?s:.*)"
		if is := literals(row[1]); len(is) == 1 {
			pattern = is[0]
		} else if len(is) > 1 {
			pattern = "(?:" + strings.Join(is, "|") + ")"
		}
		names := literals(row[0])
		if len(names) == 0 {
			names = []string{row[0]}
		}
		for _, name := range names {
			all[name] = pattern
		}
	}
	if len(all) == 0 {
		t.Fatalf("the page has no table %q", title)
	}
	return all
}

// form returns the expression for a cell that describes a value.
func (p page) form(t *testing.T, cell string) *regexp.Regexp {
	t.Helper()
	var ways []string
	for _, is := range literals(cell) {
		ways = append(ways, regexp.QuoteMeta(is))
	}
	values := p.patterns(t, "Value")
	for _, word := range strings.FieldsFunc(codes.ReplaceAllString(cell, ""), func(r rune) bool { return r == ' ' || r == ',' }) {
		switch pattern, ok := values[word]; {
		case ok:
			ways = append(ways, pattern)
		case word == "empty":
			ways = append(ways, "")
		case word != "or":
			t.Fatalf("the page says %q, which is no value", cell)
		}
	}
	return regexp.MustCompile("^(?:" + strings.Join(ways, "|") + ")$")
}

// keyForm returns the expression for a key of the page.
func (p page) keyForm(t *testing.T, key string) *regexp.Regexp {
	t.Helper()
	parts := p.patterns(t, "Part of a key")
	var b strings.Builder
	for _, piece := range regexp.MustCompile(`<[a-z]+>|[^<]+`).FindAllString(key, -1) {
		switch pattern := parts[piece]; {
		case !strings.HasPrefix(piece, "<"):
			b.WriteString(regexp.QuoteMeta(piece))
		case pattern == "":
			t.Fatalf("the page does not say what %s is", piece)
		default:
			fmt.Fprintf(&b, "(?P<%s>%s)", strings.Trim(piece, "<>"), pattern)
		}
	}
	return regexp.MustCompile("^(?:" + b.String() + ")$")
}

// TestFormat compares wrapp's writing with the tables of docs/format.md: the page has every
// key, field and value, and wrapp writes them all.
func TestFormat(t *testing.T) {
	t.Parallel()
	p, s := readPage(t), redistest.Start(t)

	// An app that writes output of every kind, and ends.
	file := configure(t, s, shell("every", `
echo "{{count}}{{level:-1.5}}{{__healthpool__main_beats}}plain"
echo oops >&2
echo "ERROR: no disk"
head -c 1000 /dev/zero | tr '\0' x; echo
kill -SEGV $$`)+`
[logs]
max_line = "256B"
[crash]
core = false
[health.pools.main]
cap = 1000
`)
	if out, err := wrapp(t, file).CombinedOutput(); code(t, err) != 139 {
		t.Fatalf("%v: %s", err, out)
	}
	// Tracebacks that the app survives; the run is cut off, and another one follows.
	path, proceed := fifo(t)
	app := []string{"--redis", s.URL(), "--name", "cut", "--", "python3", "-c", `
import sys, traceback
for i in range(3):
    try: 1/0
    except ZeroDivisionError: traceback.print_exc()
open(sys.argv[1]).read()
raise KeyError(7)`, path}
	cmd := wrapp(t, app...)
	begin(t, cmd)
	lives(s, "cut")
	cmd.Process.Kill()
	cmd.Wait()
	again := wrapp(t, app...)
	begin(t, again)
	lives(s, "cut")
	s.Wait("the hash of the second run", func() bool {
		how, _ := redis.String(s.Dial(2).Do("HGET", fleet.RunKey("cut", fleet.InstanceID(fleet.HostName())), "run_before"))
		return how == "killed"
	})
	s.Wait("a run that lives among the keys", func() bool { return p.check(t, s)["wrapp-run:<name>:<instance>"] })
	proceed()
	if err := again.Wait(); code(t, err) != 1 {
		t.Fatal(err)
	}
	// A user who may not write the hash.
	if _, err := s.Dial(0).Do("ACL", "SETUSER", "older", "on", ">s3same", "+@all", "-hset", "~*"); err != nil {
		t.Fatal(err)
	}
	path, proceed = fifo(t)
	older := wrapp(t, "--redis", "redis://older:s3same@"+s.Addr(), "--name", "older", "--", "cat", path)
	begin(t, older)
	s.Wait("what wrapp says of the hash", func() bool {
		return slices.ContainsFunc(s.Stream("logs:app:older:status"), func(e redistest.Entry) bool { return e.Fields["no_lease"] != "" })
	})
	proceed()
	if err := older.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := p.check(t, s)

	for _, row := range p["Field"] {
		where := literals(row[1])
		if len(row) == 3 { // a field of the run's hash
			continue
		}
		if row[1] == "all" {
			where = []string{"info"}
		}
		field := literals(row[0])[0]
		if field == "core" || field == "build" {
			continue // depends on the machine
		}
		if !seen[where[0]+" "+field] {
			t.Errorf("no entry on %s has the page's field %s", where[0], field)
		}
	}
	for _, row := range p["Key"] {
		if key := literals(row[0])[0]; !seen[key] && !strings.HasPrefix(key, "wrapp-run:") {
			t.Errorf("Redis lacks the page's key %s", key)
		}
	}
	for _, row := range p["Marker"] {
		if !seen[literals(row[0])[0]] {
			t.Errorf("no entry has the marker %s", row[0])
		}
	}
}

// check compares all that a Redis holds with the page, and returns the parts it has seen.
func (p page) check(t *testing.T, s *redistest.Server) (seen map[string]bool) {
	t.Helper()
	seen = make(map[string]bool)
	for db := range 3 {
		c := s.Dial(db)
		keys, err := redis.Strings(c.Do("KEYS", "*"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(keys)
		for _, key := range keys {
			kind, _ := redis.String(c.Do("TYPE", key))
			left, _ := redis.Int(c.Do("PTTL", key))
			if left == -2 {
				continue // its lease has just ended
			}
			var fits []string
			for _, row := range p["Key"] {
				form := p.keyForm(t, literals(row[0])[0])
				parts := form.FindStringSubmatch(key)
				if parts == nil {
					continue
				}
				fits = literals(row[0])[:1]
				if row[1] != fmt.Sprint(db) || row[2] != kind {
					t.Errorf("%s is a %s in database %d; the page says %s in %s", key, kind, db, row[2], row[1])
				}
				if never := row[3] == "never"; never != (left == -1) && !strings.HasPrefix(row[3], "`health`") {
					t.Errorf("%s has %d ms to live; the page says: %s", key, left, row[3])
				}
				if i := form.SubexpIndex("property"); i > 0 && parts[i] != "health" && left != -1 {
					t.Errorf("%s expires", key)
				}
				p.contents(t, c, key, left > 0, row, parts, form, seen)
			}
			if len(fits) == 0 {
				t.Errorf("the page has no key like %s (%s in database %d)", key, kind, db)
			} else {
				seen[fits[0]] = true
			}
		}
		c.Close()
	}
	return seen
}

// contents compares what a key holds with the tables. One that expires may be gone.
func (p page) contents(t *testing.T, c redis.Conn, key string, expires bool, row, parts []string, form *regexp.Regexp, seen map[string]bool) {
	t.Helper()
	want := func(text, cell string) {
		t.Helper()
		if !p.form(t, cell).MatchString(text) {
			t.Errorf("%s holds %q, which is no %s", key, text, cell)
		}
	}
	if row[2] == "string" {
		text, err := redis.String(c.Do("GET", key))
		if expires && errors.Is(err, redis.ErrNil) {
			return
		}
		if err != nil {
			t.Error(err)
		}
		switch pattern := literals(row[0])[0]; {
		case strings.HasPrefix(pattern, "{logs:"):
			want(text, p["Position of"][0][1])
		case strings.HasPrefix(pattern, "{wrapp:"):
			want(text, p["Position of"][1][1])
		case strings.Contains(pattern, "<property>"):
			i := slices.IndexFunc(p["Property"], func(row []string) bool {
				return literals(row[0])[0] == parts[form.SubexpIndex("property")]
			})
			want(text, p["Property"][i][1])
		default:
			want(text, "decimal")
		}
		return
	}
	if row[2] == "hash" {
		fields, err := redis.StringMap(c.Do("HGETALL", key))
		if err != nil {
			t.Error(err)
		}
		if expires && len(fields) == 0 {
			return
		}
		told := 0
		for _, row := range p["Field"] {
			if len(row) == 3 {
				told++
				value, ok := fields[literals(row[0])[0]]
				if !ok {
					t.Errorf("%s has no field %s", key, row[0])
				}
				want(value, row[1])
			}
		}
		if told != len(fields) || told == 0 {
			t.Errorf("%s has %d fields, and the page tells of %d: %q", key, len(fields), told, fields)
		}
		return
	}
	stream := key[strings.LastIndexByte(key, ':')+1:]
	entries, err := redis.Values(c.Do("XRANGE", key, "-", "+"))
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		pair, _ := redis.Values(e, nil)
		fields, _ := redis.StringMap(pair[1], nil)
		for field, value := range fields {
			told := false
			for _, row := range p["Field"] {
				if len(row) == 4 && literals(row[0])[0] == field && (row[1] == "all" || slices.Contains(literals(row[1]), stream)) {
					told = true
					want(value, row[2])
				}
			}
			if !told {
				t.Errorf("the page has no field %s on %s: %q", field, stream, value)
			}
			seen[stream+" "+field] = true
		}
		if _, ok := fields["message"]; !ok {
			t.Errorf("an entry of %s has no message", key)
		}
		for _, row := range p["Field"] {
			if len(row) == 4 && strings.HasPrefix(row[3], "Always there") && slices.Contains(literals(row[1]), stream) && fields[literals(row[0])[0]] == "" {
				t.Errorf("an entry of %s has no %s", key, row[0])
			}
		}
		for _, row := range p["Marker"] {
			marker := literals(row[0])[0]
			form := regexp.QuoteMeta(marker)
			for name, pattern := range p.patterns(t, "Value") {
				form = strings.ReplaceAll(form, "<"+name+">", pattern)
			}
			if regexp.MustCompile("^" + form + "$").MatchString(fields["message"]) {
				seen[marker] = true
			}
		}
	}
}
