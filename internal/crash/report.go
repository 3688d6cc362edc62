package crash

import (
	"net/url"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
	"github.com/lpportorino/jettison-base-images/internal/process"
)

// A Kind says what a report is about.
type Kind string

// The kinds.
const (
	Signal    Kind = "signal"    // a signal ended the app
	Traceback Kind = "traceback" // the app's output has a traceback
	Hang      Kind = "hang"      // backtraces of the living app
	Core      Kind = "core"      // another process of the app's tree left a core
)

// A Report is one entry of the :crash stream.
type Report struct {
	Kind     Kind
	Run      string // when the run began, in the run marker's format
	PID      int
	Signal   syscall.Signal // 0: none, or not known
	ExitCode int            // -1: not ended, or not known
	CoreFile string         // path of the core, if it still exists
	Count    int            // tracebacks or cores that it stands for without their own reports
	Message  string

	Signature signature.Signature
	Build     string // of the program that died: its build ID, shortened; empty: not known
}

// Fields returns the names and values, alternating, of the entry's fields besides `message`.
func (r *Report) Fields() []string {
	f := []string{"kind", string(r.Kind), "run", r.Run, "pid", strconv.Itoa(r.PID)}
	if r.Signal != 0 {
		f = append(f, "signal", process.SignalName(r.Signal))
	}
	if r.ExitCode >= 0 {
		f = append(f, "exit_code", strconv.Itoa(r.ExitCode))
	}
	if r.CoreFile != "" {
		f = append(f, "core", r.CoreFile)
	}
	if r.Count > 0 {
		f = append(f, "count", strconv.Itoa(r.Count))
	}
	f = append(f, "signature", r.Signature.ID)
	if r.Signature.Top != "" {
		f = append(f, "frame", r.Signature.Top)
	}
	if r.Build != "" {
		f = append(f, "build", r.Build)
	}
	return f
}

// MaxMessage bounds a report's message, in bytes.
const MaxMessage = 256 << 10

// A page is a message being written.
type page struct{ strings.Builder }

// row writes a name of up to 11 bytes and its value, if there is one.
func (p *page) row(name, value string) {
	if value != "" {
		p.WriteString(name + "            "[len(name):] + value + "\n")
	}
}

// block writes a titled text, if there is one.
func (p *page) block(title, text string) {
	if text = strings.Trim(text, "\n"); text != "" {
		p.WriteString("\n--- " + title + " ---\n" + text + "\n")
	}
}

// message returns the text without secrets, at most MaxMessage bytes of it.
func (p *page) message(secrets []string) string {
	return cutMiddle(redact(strings.TrimRight(p.String(), "\n"), secrets), MaxMessage)
}

// cutMiddle shortens a text to limit bytes. It replaces the middle, in whole lines if
// possible, by a note of its size.
func cutMiddle(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const room = 80 // for the words in place of the middle
	head, tail := text[:(limit-room)*2/3], text[len(text)-(limit-room)/3:]
	if i := strings.LastIndexByte(head, '\n'); i > len(head)/2 {
		head = head[:i+1]
	}
	if i := strings.IndexByte(tail, '\n'); i >= 0 && i < len(tail)/2 {
		tail = tail[i+1:]
	}
	for len(head) > 0 && !utf8.ValidString(head[max(0, len(head)-utf8.UTFMax):]) {
		head = head[:len(head)-1]
	}
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	return head + "\n[… " + strconv.Itoa(len(text)-len(head)-len(tail)) + " bytes left out here …]\n\n" + tail
}

// finished fills the report with the page, without secrets.
func (w *Watch) finished(r *Report, p *page) *Report {
	secrets := w.opts.Secrets()
	r.Message = p.message(secrets)
	r.Signature.Top = redact(clean(r.Signature.Top), secrets)
	return r
}

// mask replaces a secret.
const mask = "[secret]"

// shownByGDB is how many characters of a string gdb shows: its `set print elements`.
const shownByGDB = 64

// literal escapes a text as a C literal does. Private keys have several lines.
var literal = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// redact replaces the secrets. A backtrace may show a string as a C literal, or cut it within
// a secret.
func redact(text string, secrets []string) string {
	var forms []string
	for _, s := range secrets {
		if len(s) < leastSecret {
			continue
		}
		for _, f := range []string{s, literal.Replace(s)} {
			forms = append(forms, f)
			if len(f) > shownByGDB {
				forms = append(forms, f[:shownByGDB])
			}
		}
	}
	// Longer ones first: one secret may be the beginning of another.
	sort.Slice(forms, func(i, j int) bool { return len(forms[i]) > len(forms[j]) })
	var b strings.Builder
	for at := 0; at < len(text); {
		n := 0
		for i := 0; i < len(forms) && n == 0; i++ {
			same := 0
			for rest := text[at:]; same < min(len(rest), len(forms[i])) && rest[same] == forms[i][same]; {
				same++
			}
			if same == len(forms[i]) || same >= leastSecret && strings.HasPrefix(text[at+same:], `"...`) {
				n = same
			}
		}
		if n > 0 {
			b.WriteString(mask)
		} else {
			n = 1
			b.WriteByte(text[at])
		}
		at += n
	}
	return b.String()
}

// leastSecret is the length of the shortest secret that is masked: shorter ones occur in any
// text.
const leastSecret = 4

// Secrets returns the secrets of an environment of NAME=VALUE strings: the values of
// variables with a telling name, such as API_KEY, and the passwords in URLs.
func Secrets(env []string) (secrets []string) {
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		value = strings.TrimSpace(value) // a line end may have come from a file
		for _, address := range strings.Split(":"+value, "://")[1:] {
			secrets = append(secrets, passwords(address)...)
		}
		name = strings.ToUpper(name)
		for _, word := range []string{"PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "CREDENTIAL", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"} {
			if strings.Contains(name, word) && !filepath.IsAbs(value) && len(value) >= leastValue {
				secrets = append(secrets, value)
				break
			}
		}
	}
	return secrets
}

// passwords returns the password in a URL without its scheme: as it stands there, decoded, and
// as Go encodes it. Many clients accept characters in it that url.Parse does not.
func passwords(address string) []string {
	u, err := url.Parse("//" + address)
	if err != nil {
		u = new(url.URL)
	} else if end := strings.IndexAny(address, "/?#"); end >= 0 {
		address = address[:end]
	}
	_, plain, _ := strings.Cut(address[:max(0, strings.LastIndexByte(address, '@'))], ":")
	decoded, _ := u.User.Password()
	_, encoded, _ := strings.Cut(u.User.String(), ":")
	return slices.DeleteFunc([]string{plain, decoded, encoded}, func(s string) bool { return s == "" })
}

// leastValue is the length in bytes of the shortest value that Secrets returns:
// DEBUG_TOKEN=true is not secret.
const leastValue = 6

// size formats a number of bytes.
func size(n int64) string {
	switch {
	case n < 0:
		return "not known"
	case n < 1<<10:
		return strconv.Itoa(int(n)) + " bytes"
	}
	in, unit := float64(n)/(1<<10), " KiB"
	if n >= 1<<30 {
		in, unit = in/(1<<20), " GiB"
	} else if n >= 1<<20 {
		in, unit = in/(1<<10), " MiB"
	}
	return strconv.FormatFloat(in, 'f', 1, 64) + unit
}

// span formats a duration, rounded for a reader.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		d = d.Round(time.Millisecond)
	case d < time.Minute:
		d = d.Round(10 * time.Millisecond)
	default:
		d = d.Round(time.Second)
	}
	return d.String()
}
