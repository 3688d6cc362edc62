package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// foreign are messages of Redis, the kernel and Go's library that wrapp passes on.
var foreign = []string{
	"WRONGPASS invalid username-password pair or user is disabled.",
	"WRONGTYPE Operation against a key holding the wrong kind of value",
	"NOPERM this user has no permissions to run the 'select' command",
	"NOPERM this user has no permissions to run the 'xrevrange' command",
	"NOAUTH HELLO must be called with the client already authenticated",
	"ERR The user executing the script can't run this command",
	"DB index is out of range",
	"dial tcp", "dial unix", "connect", "connection refused", "no such file or directory", "operation not permitted",
	"context deadline exceeded", "remote error", "tls", "x509",
}

// composed are messages that wrapp puts together of parts.
var composed = []string{
	"must be a whole number, is a string",
	"is not in /etc/passwd",
	"a notification from outside the app is not heard; it is told once",
	"read logs:app:",
	"Redis was away and the memory for entries",
}

// TestMessages: each message in the pages' tables of messages is in the code, but for its values.
func TestMessages(t *testing.T) {
	t.Parallel()
	known := append(literals(t, filepath.Join(root, "internal")), slices.Concat(foreign, composed)...)
	rueidis, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/redis/rueidis").Output()
	if err != nil {
		t.Fatal(err)
	}
	known = append(known, literals(t, strings.TrimSpace(string(rueidis)))...)
	var (
		says   = regexp.MustCompile(`^ (What it says|What is seen|What .wrapp( logs)?. says|Message) $`)
		quoted = regexp.MustCompile("`([^`]+)`")
		values = regexp.MustCompile(`…|[:;] |/[a-z-]+\.[a-z]+|[a-z]+\.[a-z_]+|:[a-z]+\b|\d+|["()]|\b[a-z]+=`) // and what separates parts
	)
	for page, least := range map[string]int{"docs/troubleshooting.md": 50, "docs/crashes.md": 8, "docs/debugging.md": 4} {
		_, prose := readPage(t, page)
		column, inside, n := -1, false, 0
		for _, line := range prose {
			cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
			if len(cells) < 3 {
				inside = false
				continue
			}
			if !inside {
				inside = true
				column = slices.IndexFunc(cells, func(s string) bool { return says.MatchString(s) })
				continue
			}
			if column < 0 {
				continue // a table of something else
			}
			for _, m := range quoted.FindAllStringSubmatch(cells[column], -1) {
				n++
				for _, piece := range values.Split(m[1], -1) {
					piece = strings.TrimSpace(strings.ReplaceAll(piece, "\x00", "|"))
					if !slices.ContainsFunc(known, func(s string) bool { return strings.Contains(s, piece) }) {
						t.Errorf("%s: nothing says %q of %q", page, piece, m[1])
					}
				}
			}
		}
		if n < least {
			t.Errorf("%s: %d messages were found", page, n)
		}
	}
}

// literals returns the strings in the Go code of a directory, without its tests.
func literals(t *testing.T, dir string) (texts []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, _ := strconv.Unquote(l.Value)
				texts = append(texts, text)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}
