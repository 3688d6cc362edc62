package logstream

import "testing"

func TestKeys(t *testing.T) {
	t.Parallel()
	want := [Count]string{"logs:app:camera:info", "logs:app:camera:status", "logs:app:camera:error", "logs:app:camera:crash"}
	if got := Keys("camera"); got != want || Crash.String() != "crash" {
		t.Errorf("%q, %v", got, Crash)
	}
}
