package fleet

import (
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// A marker is the newest run marker of an app's :status, and what stands behind it.
type marker struct {
	begins bool // a run, which has no end yet; else it ends one
	stamp  string
	exit   int // of an end
	at     time.Time
	// host, pid and boot are of the wrapp that began the run, if it has said so.
	host, boot string
	pid        int

	noLease  bool // Redis does not take this run's hash
	stopping bool // wrapp was asked to stop
}

// stopping is how what wrapp says on :status begins when it was asked to stop.
const stopping = "stopping: wrapp received "

// read takes the next older entry of :status. It returns true with the newest marker.
func (m *marker) read(e rueidis.XRangeEntry) bool {
	message := e.FieldValues["message"]
	m.noLease = m.noLease || e.FieldValues[NoLease] == "1"
	m.stopping = m.stopping || strings.HasPrefix(message, stopping)
	text, ok := strings.CutSuffix(message, "}}")
	if !ok {
		return false
	}
	if id, err := entry.ParseID(e.ID); err == nil {
		m.at = time.UnixMilli(int64(id.Ms))
	}
	if stamp, ok := strings.CutPrefix(text, "{{__NEW_RUN_"); ok {
		m.begins, m.stamp = true, stamp
		m.host, m.boot = e.FieldValues["host"], e.FieldValues["boot"]
		m.pid, _ = strconv.Atoi(e.FieldValues["pid"])
		return isStamp(stamp)
	}
	stamp, ok := strings.CutPrefix(text, "{{__END_RUN_")
	stamp, exit, ok2 := strings.Cut(stamp, "_exit_")
	var err error
	m.stamp = stamp
	m.exit, err = strconv.Atoi(exit)
	return ok && ok2 && err == nil && isStamp(stamp)
}

func isStamp(text string) bool {
	_, err := time.Parse(entry.RunMarkerLayout, text)
	return err == nil
}
