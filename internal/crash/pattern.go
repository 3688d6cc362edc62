package crash

import (
	"fmt"
	"os"
	"path"
	"strings"
)

// A pattern is the kernel's core_pattern(5): where the kernel puts cores.
type pattern struct {
	text    string
	handler string // the program behind a leading |, which gets the core instead
	socket  string // the address behind a leading @, which gets the core instead
	parts   []part // the elements of the path of a core, from / or from the working directory
	abs     bool
}

// A part is one element of a path, cut at its specifiers, whose values only the kernel
// knows: "core.%p" is "core." and "".
type part []string

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
	p.abs = strings.HasPrefix(text, "/")
	pid := false
	now := part{""}
	literal := func(s string) { now[len(now)-1] += s }
	end := func() {
		if len(now) > 1 || now[0] != "" && now[0] != "." {
			p.parts = append(p.parts, now)
		}
		now = part{""}
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '/':
			end()
		case text[i] != '%':
			literal(text[i : i+1])
		case i+1 == len(text): // the kernel ignores a last %
		case text[i+1] == '%':
			i++
			literal("%")
		default:
			// A specifier that this kernel does not know is replaced by nothing,
			// which a wildcard matches too. No specifier yields a slash.
			i++
			pid = pid || text[i] == 'p'
			now = append(now, "")
		}
	}
	if usesPID && !pid {
		literal(".")
		now = append(now, "")
	}
	end()
	return p
}

// toFile says whether the kernel itself writes cores to files.
func (p *pattern) toFile() bool { return p.handler == "" && p.socket == "" && len(p.parts) > 0 }

// matches says whether a file with that name may be a core.
func (p part) matches(name string) bool {
	if len(p) == 1 {
		return name == p[0]
	}
	name, ok := strings.CutPrefix(name, p[0])
	if !ok {
		return false
	}
	last := p[len(p)-1]
	for _, literal := range p[1 : len(p)-1] {
		i := strings.Index(name, literal)
		if i < 0 {
			return false
		}
		name = name[i+len(literal):]
	}
	return strings.HasSuffix(name, last)
}

// literal returns the only name that matches, or false if several do.
func (p part) literal() (string, bool) { return p[0], len(p) == 1 }

// places returns the directories that may hold cores of a process that worked in one of
// dirs, and the form of the cores' names.
func (p *pattern) places(dirs []string) (places []string, name part) {
	if !p.toFile() {
		return nil, nil
	}
	places = dirs
	if p.abs {
		places = []string{"/"}
	}
	for _, part := range p.parts[:len(p.parts)-1] {
		var below []string
		for _, dir := range places {
			if name, ok := part.literal(); ok {
				below = append(below, path.Join(dir, name))
				continue
			}
			entries, _ := os.ReadDir(dir)
			for _, e := range entries {
				if part.matches(e.Name()) && len(below) < maxPlaces {
					below = append(below, path.Join(dir, e.Name()))
				}
			}
		}
		places = below
	}
	return places, p.parts[len(p.parts)-1]
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
	case len(p.parts) == 0:
		return "the kernel writes no cores because kernel.core_pattern is empty; set, " + setting
	}
	return ""
}
