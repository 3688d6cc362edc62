// Package fleet has the state of every app of a Redis: the hash that wrapp publishes while it
// lives, and the readers of all hashes and streams.
package fleet

import (
	"strconv"
	"strings"
	"time"
)

// States of a Run.
const (
	Running    = "running"
	Restarting = "restarting" // between two runs of the app
	Ending     = "ending"     // the app has ended, and wrapp is about to
)

// A Run describes one living wrapp and its app, over all runs of the app: the fields of the hash
// wrapp-run:<name>:<instance> in the values' database. The hash has a lease, so it exists
// only while its wrapp lives.
type Run struct {
	Name, Instance string // from the key; not among the fields

	Host        string
	PID         int // of wrapp, in its own namespace
	AppPID      int // 0: the app has no process now
	Started     time.Time
	Stamp       string // the time in the present run's marker
	State       string
	Restarts    int
	LastExit    string    // exit status of the app's last end under this wrapp; empty: it has not ended yet
	Updated     time.Time // when the fields were written
	Lines       uint64    // lines that the app wrote; like all counts below, of all runs of this wrapp
	Errors      uint64    // lines whose level is ERROR or worse
	Dropped     uint64    // entries that found no room
	Spooled     int       // entries in the spool, or in memory without one
	DeadLetters int       // entries that Redis refused for good
	Crashes     int       // crash reports
	Wrapp       string    // wrapp's version
	Boot        string    // the kernel's boot ID
	Before      string    // how the previous run ended without an end marker; see LostKilled
}

// NoLease is a field of an entry on :status: this run has no hash, because Redis refuses it.
const NoLease = "no_lease"

const runPrefix = "wrapp-run:"

// InstanceOf returns the instance name of a wrapp on a host of that name.
func InstanceOf(host string) string { return strings.ReplaceAll(host, ":", "_") }

// RunKey returns the key of a Run's hash.
func RunKey(name, instance string) string { return runPrefix + name + ":" + instance }

// cutRunKey splits a Run's key; an instance has no colon.
func cutRunKey(key string) (name, instance string, ok bool) {
	rest, ok := strings.CutPrefix(key, runPrefix)
	i := strings.LastIndexByte(rest, ':')
	if !ok || i <= 0 {
		return "", "", false
	}
	return rest[:i], rest[i+1:], true
}

// stampLayout is the format of times in the hash: RFC 3339 in UTC, with milliseconds.
const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// Fields returns the names and values, in turn, of the hash's fields.
func (r *Run) Fields() []string {
	return []string{
		"version", r.Wrapp,
		"host", r.Host,
		"pid", strconv.Itoa(r.PID),
		"app_pid", strconv.Itoa(r.AppPID),
		"started", r.Started.UTC().Format(stampLayout),
		"run", r.Stamp,
		"state", r.State,
		"restarts", strconv.Itoa(r.Restarts),
		"exit", r.LastExit,
		"updated", r.Updated.UTC().Format(stampLayout),
		"lines", strconv.FormatUint(r.Lines, 10),
		"errors", strconv.FormatUint(r.Errors, 10),
		"dropped", strconv.FormatUint(r.Dropped, 10),
		"spooled", strconv.Itoa(r.Spooled),
		"dead", strconv.Itoa(r.DeadLetters),
		"crashes", strconv.Itoa(r.Crashes),
		"boot", r.Boot,
		"run_before", r.Before,
	}
}

// IsRunKey reports whether a key is of a Run's hash.
func IsRunKey(key string) bool { return strings.HasPrefix(key, runPrefix) }

// ParseRun parses the hash at a key; ok is false if the hash is empty or the key is not of a
// Run.
func ParseRun(key string, fields map[string]string) (r Run, ok bool) {
	name, instance, ok := cutRunKey(key)
	if !ok || len(fields) == 0 {
		return r, false
	}
	return parseRun(name, instance, fields), true
}

// parseRun parses a hash. Other programs and other versions may have written it: values that are
// invalid or missing become zero.
func parseRun(name, instance string, fields map[string]string) Run {
	number := func(field string) int {
		n, _ := strconv.Atoi(fields[field])
		return max(0, n)
	}
	count := func(field string) uint64 {
		n, _ := strconv.ParseUint(fields[field], 10, 64)
		return n
	}
	started, _ := time.Parse(stampLayout, fields["started"])
	updated, _ := time.Parse(stampLayout, fields["updated"])
	return Run{
		Name: name, Instance: instance,
		Host: fields["host"], PID: number("pid"), AppPID: number("app_pid"), Started: started,
		Stamp: fields["run"], State: fields["state"], Restarts: number("restarts"), LastExit: fields["exit"],
		Updated: updated, Lines: count("lines"), Errors: count("errors"), Dropped: count("dropped"), Spooled: number("spooled"),
		DeadLetters: number("dead"), Crashes: number("crashes"), Wrapp: fields["version"], Boot: fields["boot"], Before: fields["run_before"],
	}
}
