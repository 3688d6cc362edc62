package traceback

import (
	"path/filepath"
	"strings"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

// A stack is a parsed report: its type, and the frames, topmost first.
type stack struct {
	kind   string
	frames []frame
}

// A frame is one call as a runtime prints it.
type frame struct {
	function string // normalised, to compare
	place    string // FILE:LINE, for people
	foreign  bool   // not the app's own code
}

// stacks has the parser of each language's reports.
var stacks = map[string]func(title string, lines []string) stack{
	"Go":      goStack,
	"Python":  pythonStack,
	"Rust":    rustStack,
	"Java":    javaStack,
	"Node.js": nodeStack,
	native:    nativeStack,
}

// Stack returns the parts of the report's signature: its type, such as "Python ValueError", and
// the app's own frames, topmost first, without messages and lines. If no frame is the app's
// own, it returns all frames.
func (r *Report) Stack() (kind string, own []signature.Frame) {
	read := stacks[r.Language]
	if read == nil {
		return strings.TrimSpace(r.Language + " traceback"), nil
	}
	s := read(r.Title, strings.Split(r.Text, "\n"))
	for _, foreign := range []bool{false, true} {
		for _, f := range s.frames {
			if f.function != "" && f.foreign == foreign {
				own = append(own, signature.Frame{Function: f.function, Place: f.place})
			}
		}
		if len(own) > 0 {
			break
		}
	}
	return r.Language + " " + s.kind, own
}

// inFile names a script's function together with its file.
func inFile(file, function string) string {
	if function == "" {
		return filepath.Base(file)
	}
	return filepath.Base(file) + ":" + function
}

// place returns FILE:LINE without the directories, which differ between installations.
func place(file, line string) string { return filepath.Base(file) + ":" + line }

// fileOf returns the file in FILE:LINE or FILE:LINE:COLUMN, and its base name with the line.
func fileOf(text string) (file, short string) {
	rest, number := cutNumber([]byte(text))
	if again, line := cutNumber(rest); line {
		rest, text = again, string(rest)
	}
	if !number {
		return text, ""
	}
	return string(rest), filepath.Base(text)
}

// wording returns the constant part of a message: without digits, and cut at each separator.
func wording(text string, separators ...string) string {
	for _, s := range separators {
		text, _, _ = strings.Cut(text, s)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text))
}
