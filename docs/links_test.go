package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// TestLinks checks every link to a file of the repository, and to a heading in it.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^()\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	count := 0
	for _, page := range pages(t) {
		_, prose := readPage(t, page)
		text := regexp.MustCompile("`[^`\n]*`").ReplaceAllString(strings.Join(prose, "\n"), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := m[1] + m[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			count++
			path, anchor, anchored := strings.Cut(target, "#")
			file := filepath.Join(filepath.Dir(page), path)
			if path == "" {
				file = page
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil || !filepath.IsLocal(file) {
				t.Errorf("%s: there is no %s", page, target)
			} else if anchored && !anchors(t, file)[anchor] {
				t.Errorf("%s: %s has no heading #%s", page, file, anchor)
			}
		}
	}
	t.Logf("%d links", count)
	if count < 100 {
		t.Error("most links were not found")
	}
}

// anchors returns the anchors that GitHub gives to a page's headings.
func anchors(t *testing.T, page string) map[string]bool {
	t.Helper()
	_, prose := readPage(t, page)
	all := make(map[string]bool)
	for _, line := range prose {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		title = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`).ReplaceAllString(title, "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		all[anchor] = true
	}
	return all
}
