package fleet

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A marker is what :status says of an app's newest run: its marker, which begins or ends it,
// and what newer entries add.
type marker struct {
	entry.RunMarker
	at time.Time
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
	run, ok := entry.ParseRunMarker([]byte(message))
	if !ok {
		return false
	}
	m.RunMarker = run
	if id, err := entry.ParseID(e.ID); err == nil {
		m.at = id.Time()
	}
	if run.Begins {
		m.host, m.boot = e.FieldValues["host"], e.FieldValues["boot"]
		m.pid, _ = strconv.Atoi(e.FieldValues["pid"])
	}
	return true
}
