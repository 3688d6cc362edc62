package run

import (
	"testing"
	"time"
)

// TestOOMKilled reads records that Linux wrote on two occasions, and one that a program wrote.
func TestOOMKilled(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	const log = "6,900,1000000,-;wrapp invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n" +
		"3,901,2000000,-;Memory cgroup out of memory: Killed process 4242 (wrapp) total-vm:1247232kB, anon-rss:20480kB\n SUBSYSTEM=memory\n" +
		"3,902,3000000,-;Out of memory: Killed process 4243 (camera) total-vm:1kB\n" +
		"12,903,9000000,-;Out of memory: Killed process 1 (lidar) said a program\n"
	for _, row := range []struct {
		pid   int
		name  string
		since time.Duration
		want  bool
	}{
		{4242, "wrapp", 0, true},
		{1, "wrapp", 0, true},
		{4243, "wrapp", 0, false},
		{4242, "wrapp", 1999 * time.Millisecond, true},
		{4242, "wrapp", 2 * time.Second, false},
		{4243, "camera", 0, true},
		{4242, "wrap", 0, false},
		{1, "lidar", 0, false},
	} {
		if got := oomKilled(log, row.pid, row.name, zero.Add(row.since), zero); got != row.want {
			t.Errorf("%s since %v: %v", row.name, row.since, got)
		}
	}
}

// TestKernelLog reads this kernel's log, if that is permitted.
func TestKernelLog(t *testing.T) {
	t.Parallel()
	text, err := kernelLog()
	if err != nil {
		t.Skip(err)
	}
	if len(text) > mostKernelLog+8<<10 {
		t.Errorf("%d bytes", len(text))
	}
	oomKilled(text, 1, "wrapp", time.Now().Add(-time.Hour), kernelClock())
}
