// Package fleet has the state of every app of a Redis: the hash that wrapp publishes while it
// lives, and the readers of all hashes and streams.
package fleet

import (
	"strconv"
	"strings"
	"time"
)

// States of an Instance.
const (
	Running    = "running"
	Restarting = "restarting" // between two runs of the app
	Ending     = "ending"     // the app has ended, and wrapp is about to
)

// An Instance is one living wrapp and its app, over all runs of the app: the fields of the hash
// wrapp-run:<name>:<instance> in the values' database. The hash has a lease, so it exists
// only while its wrapp lives.
type Instance struct {
	Name, ID string // from the key, not among the fields: the app, and which of its instances this is

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

// InstanceID returns the ID of the Instance of a wrapp on a host of that name.
func InstanceID(host string) string { return strings.ReplaceAll(host, ":", "_") }

// RunKey returns the key of an Instance's hash.
func RunKey(name, instance string) string { return runPrefix + name + ":" + instance }

// cutRunKey splits an Instance's key; an instance has no colon.
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
func (in *Instance) Fields() []string {
	return []string{
		"version", in.Wrapp,
		"host", in.Host,
		"pid", strconv.Itoa(in.PID),
		"app_pid", strconv.Itoa(in.AppPID),
		"started", in.Started.UTC().Format(stampLayout),
		"run", in.Stamp,
		"state", in.State,
		"restarts", strconv.Itoa(in.Restarts),
		"exit", in.LastExit,
		"updated", in.Updated.UTC().Format(stampLayout),
		"lines", strconv.FormatUint(in.Lines, 10),
		"errors", strconv.FormatUint(in.Errors, 10),
		"dropped", strconv.FormatUint(in.Dropped, 10),
		"spooled", strconv.Itoa(in.Spooled),
		"dead", strconv.Itoa(in.DeadLetters),
		"crashes", strconv.Itoa(in.Crashes),
		"boot", in.Boot,
		"run_before", in.Before,
	}
}

// IsRunKey reports whether a key is of an Instance's hash.
func IsRunKey(key string) bool { return strings.HasPrefix(key, runPrefix) }

// ParseInstance parses the hash at a key; ok is false if the hash is empty or the key is not
// of an Instance.
func ParseInstance(key string, fields map[string]string) (in Instance, ok bool) {
	name, id, ok := cutRunKey(key)
	if !ok || len(fields) == 0 {
		return in, false
	}
	return parseInstance(name, id, fields), true
}

// parseInstance parses a hash. Other programs and other versions may have written it: values that are
// invalid or missing become zero.
func parseInstance(name, id string, fields map[string]string) Instance {
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
	return Instance{
		Name: name, ID: id,
		Host: fields["host"], PID: number("pid"), AppPID: number("app_pid"), Started: started,
		Stamp: fields["run"], State: fields["state"], Restarts: number("restarts"), LastExit: fields["exit"],
		Updated: updated, Lines: count("lines"), Errors: count("errors"), Dropped: count("dropped"), Spooled: number("spooled"),
		DeadLetters: number("dead"), Crashes: number("crashes"), Wrapp: fields["version"], Boot: fields["boot"], Before: fields["run_before"],
	}
}
