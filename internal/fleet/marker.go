package fleet

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
	"github.com/lpportorino/jettison-base-images/internal/journal"
)

// A marker is what :status says of an app's newest run: its marker, which begins or ends it,
// and what newer entries add.
type marker struct {
	begins bool // begins: the marker begins a run, which has no end yet; otherwise it ends one
	stamp  string
	exit   int // exit: exit status in an end marker
	at     time.Time
	// host, pid and boot are of the wrapp that began the run; zero if it wrote none.
	host, boot string
	pid        int

	noLease  bool // noLease: Redis refuses this run's hash
	stopping bool // stopping: wrapp was asked to stop
}

// stopping is the beginning of wrapp's entry on :status when it was asked to stop.
const stopping = "stopping: wrapp received "

// read reads the next older entry of :status. It reports whether that is a run marker.
func (m *marker) read(e rueidis.XRangeEntry) bool {
	message := e.FieldValues["message"]
	m.noLease = m.noLease || e.FieldValues[NoLease] == "1"
	m.stopping = m.stopping || strings.HasPrefix(message, stopping)
	run, ok := journal.ParseRunMarker([]byte(message))
	if !ok {
		return false
	}
	m.begins, m.stamp, m.exit = run.Begins, run.Stamp, run.Exit
	if id, err := entry.ParseID(e.ID); err == nil {
		m.at = id.Time()
	}
	if run.Begins {
		m.host, m.boot = e.FieldValues["host"], e.FieldValues["boot"]
		m.pid, _ = strconv.Atoi(e.FieldValues["pid"])
	}
	return true
}
