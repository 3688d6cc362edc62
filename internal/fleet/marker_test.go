package fleet

import (
	"testing"

	"github.com/redis/rueidis"
)

// TestMarkerIn: entries that only look like run markers, such as an app's own, are none.
func TestMarkerIn(t *testing.T) {
	t.Parallel()
	entries := []rueidis.XRangeEntry{}
	for _, message := range []string{"{{__NEW_RUN_x}}", "{{__END_RUN_2026-11-29_10-00-00_exit_x}}", "x}}", "{{__END_RUN_2026-11-29_10-00-00_exit_3}}"} {
		entries = append(entries, rueidis.XRangeEntry{ID: "1-0", FieldValues: map[string]string{"message": message, "host": "h"}})
	}
	m := markerIn(entries)
	if m == nil || m.Begins || m.host != "" || m.Exit != 3 || m.Stamp != "2026-11-29_10-00-00" {
		t.Errorf("%+v, want the end", m)
	}
	if m := markerIn(entries[:3]); m != nil {
		t.Errorf("%+v, want none", m)
	}
}
