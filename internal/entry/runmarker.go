package entry

import (
	"bytes"
	"strconv"
	"time"
)

// RunMarkerLayout is the layout of the local time in run markers.
const RunMarkerLayout = "2006-01-02_15-04-05"

// A RunMarker is the message that wrapp writes to :info and :status where a run begins or ends.
type RunMarker struct {
	Begins bool
	Stamp  string // local time of the beginning or the end, in the layout RunMarkerLayout
	Exit   int    // exit status of the app in the marker of an end
}

const (
	beginMarker  = "{{__NEW_RUN_"
	endMarker    = "{{__END_RUN_"
	exitInMarker = "_exit_"
	markerEnd    = "}}"
)

// String returns the message.
func (m RunMarker) String() string {
	if m.Begins {
		return beginMarker + m.Stamp + markerEnd
	}
	return endMarker + m.Stamp + exitInMarker + strconv.Itoa(m.Exit) + markerEnd
}

// ParseRunMarker reads a message. The app can write such a message to :info, but not to :status.
func ParseRunMarker(message []byte) (m RunMarker, ok bool) {
	text, ok := bytes.CutSuffix(message, []byte(markerEnd))
	if !ok {
		return m, false
	}
	stamp, begins := bytes.CutPrefix(text, []byte(beginMarker))
	if !begins {
		if stamp, ok = bytes.CutPrefix(text, []byte(endMarker)); !ok {
			return m, false
		}
		var exit []byte
		stamp, exit, _ = bytes.Cut(stamp, []byte(exitInMarker))
		var err error
		if m.Exit, err = strconv.Atoi(string(exit)); err != nil {
			return m, false
		}
	}
	m.Begins, m.Stamp = begins, string(stamp)
	_, err := time.Parse(RunMarkerLayout, m.Stamp)
	return m, err == nil
}
