// Package beat is the table of the sources of heartbeats: what `beat` may name, how that is
// checked, and the probe, if the source has one.
//
// A new source is a row of the table and a file. A source either has a probe, which asks,
// or it hears: then something calls Keeper.Heard for each heartbeat.
package beat

import (
	"context"
	"strings"
)

// The names of the sources that hear.
const (
	Marker = "marker" // {{__healthpool__<category>_beats}} in the output
	Notify = "notify" // sd_notify
	Output = "output" // any line, or output without a line end
)

// A Probe asks a target once: nil is a heartbeat; an error is none, and the first of a row of
// them is logged. A Probe has no state: all pools and runs share it.
type Probe func(ctx context.Context, target string, app App) error

// App has what a probe needs.
type App struct {
	// Exec runs a command and returns nil if it ends with exit status 0. It returns soon
	// after ctx is done; see health.App.
	Exec func(ctx context.Context, command []string) error
	// CAFile and Insecure are the pool's, for https.
	CAFile   string
	Insecure bool
}

// sources are in the order in which a message and the reference list them.
var sources = []struct {
	name    string // name: the whole source, or its prefix if there is a probe
	form    string // form: how users write it
	meaning string // meaning: what counts as a heartbeat
	valid   func(target string) bool
	probe   Probe
}{
	{Marker, Marker, "in the app's output", nil, nil},
	{Notify, Notify, "sd_notify", nil, nil},
	{Output, Output, "any line, or output without a line end", nil, nil},
	{"http://", "http://…", "a GET answered with status 200 to 399; no user in it", validHTTP, probeHTTP},
	{"https://", "https://…", "the same over TLS", validHTTP, probeHTTP},
	{"tcp://", "tcp://host:port", "a connection", validTCP, probeTCP},
	{"exec:", "exec:COMMAND", "exit status 0; words as in a shell, quotes too, but no shell", validExec, probeExec},
}

// Valid reports whether s names a source.
func Valid(s string) bool {
	for _, source := range sources {
		if source.probe == nil && s == source.name || source.probe != nil && strings.HasPrefix(s, source.name) && source.valid(s) {
			return true
		}
	}
	return false
}

// ProbeOf returns the probe of a valid source, nil for one that hears.
func ProbeOf(s string) Probe {
	for _, source := range sources {
		if source.probe != nil && strings.HasPrefix(s, source.name) {
			return source.probe
		}
	}
	return nil
}

// Callable reports whether a hook can call s: a command or an HTTP URL.
func Callable(s string) bool {
	return Valid(s) && (strings.HasPrefix(s, "exec:") || IsHTTP(s))
}

// IsHTTP reports whether s is an http or https URL.
func IsHTTP(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

// Words returns the names of the sources that hear, which are words.
func Words() (words []string) {
	for _, source := range sources {
		if source.probe == nil {
			words = append(words, source.name)
		}
	}
	return words
}

// Forms returns the forms of the sources, as users write them.
func Forms() (forms []string) {
	for _, source := range sources {
		forms = append(forms, source.form)
	}
	return forms
}

// Reference lists the sources for the reference of the configuration.
func Reference() string {
	var rows []string
	for _, source := range sources {
		rows = append(rows, "`"+source.form+"` ("+source.meaning+")")
	}
	return strings.Join(rows, ", ")
}
