package run

import (
	"testing"
	"time"
)

// TestDepletions depletes a pool again and again: that does not fill the status stream.
func TestDepletions(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC)
	d := make(depletions)
	for _, test := range []struct {
		after    time.Duration
		category string
		want     string
	}{
		{0, "a", "health pool a is depleted"},
		{time.Second, "a", ""},
		{time.Second, "b", "health pool b is depleted"},
		{9 * time.Second, "a", ""},
		{10 * time.Second, "a", "health pool a is depleted; so it was 2 times more since 20:15:00"},
		{11 * time.Second, "b", "health pool b is depleted"},
		{12 * time.Second, "a", ""},
		{time.Hour, "a", "health pool a is depleted; so it was 1 times more since 20:15:10"},
	} {
		if got := d.text(test.category, start.Add(test.after)); got != test.want {
			t.Errorf("%s after %v: %q, want %q", test.category, test.after, got, test.want)
		}
	}
}
