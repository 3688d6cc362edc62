package crash

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A pattern is the kernel's core_pattern(5): where the kernel puts cores.
type pattern struct {
	text    string
	handler string // the program behind a leading |, which gets the core instead
	socket  string // the address behind a leading @, which gets the core instead
	// dir and name are where the kernel puts a core, from / or from the working directory,
	// in the form of path.Match: a * stands for each specifier, whose value only the
	// kernel knows. name is empty if there is no path.
	dir, name string
}

// readPattern reads the kernel's settings from the directory sys, /proc/sys/kernel.
func readPattern(sys string) (*pattern, error) {
	text, err := os.ReadFile(path.Join(sys, "core_pattern"))
	if err != nil {
		return nil, fmt.Errorf("read the core pattern: %w", err)
	}
	usesPID, _ := os.ReadFile(path.Join(sys, "core_uses_pid"))
	number := strings.TrimSpace(string(usesPID))
	return parsePattern(strings.TrimSuffix(string(text), "\n"), number != "" && number != "0"), nil
}

// parsePattern parses a pattern. The kernel appends ".PID" to the name if
// usesPID is set and no %p is in the pattern.
func parsePattern(text string, usesPID bool) *pattern {
	p := &pattern{text: text}
	switch {
	case strings.HasPrefix(text, "|"):
		p.handler, _, _ = strings.Cut(strings.TrimLeft(text[1:], " "), " ")
		return p
	case strings.HasPrefix(text, "@"):
		p.socket = strings.TrimLeft(text, "@")
		return p
	}
	var b strings.Builder
	pid := false
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '%':
			b.WriteString(literally.Replace(text[i : i+1]))
		case i+1 == len(text): // the kernel ignores a last %
		case text[i+1] == '%':
			i++
			b.WriteByte('%')
		default:
			// A specifier that this kernel does not know is replaced by nothing,
			// which a wildcard matches too. No specifier yields a slash.
			i++
			pid = pid || text[i] == 'p'
			b.WriteByte('*')
		}
	}
	if usesPID && !pid {
		b.WriteString(".*")
	}
	if b.Len() > 0 {
		p.dir, p.name = path.Split(path.Clean(b.String()))
	}
	return p
}

// literally escapes a text for path.Match.
var literally = strings.NewReplacer("*", `\*`, "?", `\?`, "[", `\[`, `\`, `\\`)

// varies says whether a pattern of path.Match is more than a plain text.
func varies(pattern string) bool { return strings.ContainsAny(pattern, `*?[\`) }

// toFile says whether the kernel itself writes cores to files.
func (p *pattern) toFile() bool { return p.handler == "" && p.socket == "" && p.name != "" }

// places returns the directories that may hold cores of a process that worked in one of
// dirs.
func (p *pattern) places(dirs []string) (places []string) {
	if path.IsAbs(p.dir) {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		if !varies(p.dir) {
			places = append(places, path.Join(dir, p.dir))
			continue
		}
		found, _ := filepath.Glob(path.Join(literally.Replace(dir), p.dir))
		places = append(places, found...)
	}
	return places[:min(len(places), maxPlaces)]
}

// maxPlaces bounds the directories that are searched.
const maxPlaces = 256

// setting is the command after which the kernel writes cores where wrapp finds them.
const setting = "on the host, as root: sysctl -w kernel.core_pattern=/tmp/core.%p"

// without says why the pattern leaves no core for wrapp, and what to do.
func (p *pattern) without() string {
	const gives, set = "the kernel gives cores to ", " (kernel.core_pattern); to have a backtrace here set, " + setting
	switch {
	case path.Base(p.handler) == "apport":
		return gives + p.handler + " (kernel.core_pattern), which leaves out programs in containers; to have a backtrace here set, " +
			setting + ", after systemctl disable --now apport, which would set it again at boot"
	case p.handler != "":
		return gives + p.handler + set
	case p.socket != "":
		return gives + "the socket " + p.socket + set
	case p.name == "":
		return "the kernel writes no cores because kernel.core_pattern is empty; set, " + setting
	}
	return ""
}
