// Package docs tests the links, configurations and commands of README.md and the pages of docs.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the path of the repository.
const root = ".."

// pages returns the paths of all pages from the root, README.md first.
func pages(t *testing.T) (files []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "examples/*/README.md", ".github/*.md", ".github/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range found {
			file, _ = filepath.Rel(root, file)
			if !slices.Contains(files, file) {
				files = append(files, file)
			}
		}
	}
	if len(files) < 30 || !slices.Contains(files, "README.md") || !slices.Contains(files, "docs/adr/0001-records-in-the-queue.md") {
		t.Fatalf("these are not all pages: %q", files)
	}
	return files
}

// A block is a fenced block of a page.
type block struct {
	line    int    // of the opening fence, counted from 1
	info    string // the language, after the fence
	comment string // the HTML comment on the line before
	text    string
}

var comment = regexp.MustCompile(`^\s*<!-- (.*) -->$`)

// readPage returns the blocks of a page, and the lines outside them.
func readPage(t *testing.T, file string) (blocks []block, prose []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	var open *block
	indent, last := 0, ""
	for i, line := range strings.Split(string(data), "\n") {
		bare := strings.TrimLeft(line, " ")
		switch {
		case open == nil && strings.HasPrefix(bare, "```"):
			open = &block{line: i + 1, info: strings.Trim(bare, "` ")}
			indent = len(line) - len(bare)
			if m := comment.FindStringSubmatch(last); m != nil {
				open.comment = m[1]
			}
		case open == nil:
			prose = append(prose, line)
		case bare == "```":
			blocks = append(blocks, *open)
			open = nil
		default:
			open.text += strings.TrimPrefix(line, strings.Repeat(" ", indent)) + "\n"
		}
		last = line
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", file, open.line)
	}
	return blocks, prose
}

// file returns the path in a block's first line, # NAME, or "" if the block is no file.
func (b block) file() string {
	first, _, _ := strings.Cut(b.text, "\n")
	m := regexp.MustCompile(`^(?:#|//) ([\w./-]+\.\w+)$`).FindStringSubmatch(first)
	if m == nil {
		return ""
	}
	return m[1]
}

// A command is one command of a block, with the output that the page shows.
type command struct {
	line   int
	text   string
	output []string
}

// commands returns the commands of a console block. A command continues after a backslash at the
// end of its line, and through a here-document.
func (b block) commands() (all []command) {
	if b.info != "console" {
		return nil
	}
	more := false
	until := ""
	for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
		switch {
		case more || until != "":
			all[len(all)-1].text += "\n" + line
			if line == until {
				until = ""
			}
		case strings.HasPrefix(line, "$ ") || strings.HasPrefix(line, "# "):
			all = append(all, command{line: b.line + 1 + i, text: line[2:]})
			if m := regexp.MustCompile(`<<'?(\w+)'?`).FindStringSubmatch(line); m != nil {
				until = m[1]
			}
		case len(all) > 0:
			all[len(all)-1].output = append(all[len(all)-1].output, line)
		}
		more = until == "" && len(all) > 0 && len(all[len(all)-1].output) == 0 && strings.HasSuffix(line, `\`)
	}
	return all
}
