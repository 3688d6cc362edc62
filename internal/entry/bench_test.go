package entry

import (
	"fmt"
	"testing"
	"time"
)

// benchLines are lines of 92 bytes each; only the object is longer.
var benchLines = []struct{ name, line string }{
	{"plain", "frame 18467 of sensor 0 rendered in 16.6 ms; the queue holds 3 of 64 buffers, none dropped.."},
	{"words", "camera: sensor[0] frame=18467 of /dev/video0 at 10.0.0.7:8554 rendered in 16.6 ms, HTTP 200."},
	{"level", "2026-11-23 20:15:01.123456 [INFO] camera: frame 18467 of sensor 0 rendered in 16.6 ms, kept.."},
	{"klog", "I1123 20:15:01.123456       7 camera.go:118] frame 18467 of sensor 0 rendered in 16.6 ms, ok."},
	{"logfmt", `time=2026-11-23T20:15:01.123Z level=INFO msg="frame rendered" sensor=0 frame=18467 ms=16.600`},
	{"object", `{"level":"info","ts":1795464901.1234567,"caller":"camera/main.go:118","msg":"frame rendered","sensor":0,"frame":18467}`},
}

func BenchmarkLevel(b *testing.B) {
	for _, bb := range benchLines {
		b.Run(bb.name, func(b *testing.B) {
			line := []byte(bb.line)
			b.ReportAllocs()
			for b.Loop() {
				LevelOf(line)
			}
		})
	}
}

func BenchmarkJSON(b *testing.B) {
	for _, bb := range benchLines {
		b.Run(bb.name, func(b *testing.B) {
			f := NewJSON(Context{Service: "camera", Run: "2026-11-23_20-15-01", PID: 7})
			line := []byte(bb.line)
			m := Meta{Received: time.Now()}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				m.Seq++
				m.Received = m.Received.Add(1250 * time.Nanosecond)
				dst, _ = f.Append(dst[:0], line, m)
			}
		})
	}
}

// TestAllocations checks the figures of docs/performance.md that do not depend on the machine.
func TestAllocations(t *testing.T) {
	f := NewJSON(Context{Service: "camera", Run: "2026-11-23_20-15-01", PID: 7})
	m := Meta{Received: time.Unix(1795464901, 0)}
	var dst []byte
	for _, bb := range benchLines {
		line := []byte(bb.line)
		dst, _ = f.Append(dst[:0], line, m)
		if n := testing.AllocsPerRun(100, func() { LevelOf(line) }); n != 0 {
			t.Errorf("%s: %v allocations for the level", bb.name, n)
		}
		if n := testing.AllocsPerRun(100, func() { dst, _ = f.Append(dst[:0], line, m) }); n != 0 {
			t.Errorf("%s: %v allocations for JSON", bb.name, n)
		}
		fmt.Fprintf(t.Output(), "%s\n", dst)
	}
}
