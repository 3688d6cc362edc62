package entry

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/jsontext"
	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

// messages makes a formatter for the tests' run.
func messages() *JSON {
	return NewJSON(Context{Service: "camera", Run: "r", PID: 7, Zone: time.UTC})
}

func TestJSON(t *testing.T) {
	t.Parallel()
	const (
		received = `{"time":"2026-11-23T21:00:00.000000000Z",`
		stated   = `{"time":"2026-11-23T20:15:01.000000000Z",`
		tail     = `,"service":"camera","source":"stdout","run":"r","pid":7,"seq":5`
	)
	for _, tt := range []struct {
		name, line, want string
	}{
		{"empty", ``, received + `"level":"INFO","msg":""` + tail + `}`},
		{"text", `  all is well`, received + `"level":"INFO","msg":"  all is well"` + tail + `}`},
		{"quotes", `a "b" \c` + "\t\r\n\x00\x7f", received + `"level":"INFO","msg":"a \"b\" \\c\t\r\n\u0000\u007f"` + tail + `}`},
		{"not UTF-8", "caf\xc3\xa9 \xff\xc3 \u009b", received + `"level":"INFO","msg":"café ` + "\ufffd\ufffd" + ` \u009b"` + tail + `}`},
		{"colours", "\x1b[1;31mERROR\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x1b\\ off", received + `"level":"ERROR","msg":"ERROR: link off"` + tail + `}`},
		{"unfinished escape", "x\x1b[3", received + `"level":"INFO","msg":"x\u001b[3"` + tail + `}`},
		{"priority", `<3>no disk`, received + `"level":"ERROR","msg":"no disk"` + tail + `}`},
		{"syslog", `<11>Nov 23 20:15:01 host app: x`, stated + `"level":"ERROR","msg":"<11>Nov 23 20:15:01 host app: x"` + tail + `}`},
		{"stated", `2026-11-23T20:15:01Z WARN x`, stated + `"level":"WARN","msg":"2026-11-23T20:15:01Z WARN x"` + tail + `}`},

		{"object", `{}`, received + `"level":"INFO","msg":""` + tail + `}`},
		{"blanks", " {\t\"a\" : 1 } \r\n", received + `"level":"INFO","msg":""` + tail + `,"a":1}`},
		{"all three", `{"time":"2026-11-23T20:15:01Z","level":"warn","msg":"x","a":1}`, stated + `"level":"WARN","msg":"x"` + tail + `,"a":1}`},
		{"Serilog", `{"@t":"2026-11-23T20:15:01.0000000Z","@mt":"up {N}","@l":"Warning","N":1}`, stated + `"level":"WARN","msg":"up {N}"` + tail + `,"@mt":"up {N}","N":1}`},
		{"Serilog rendered", `{"@t":"2026-11-23T20:15:01Z","@m":"up 1","@mt":"up {N}"}`, stated + `"level":"INFO","msg":"up 1"` + tail + `,"@mt":"up {N}"}`},
		{"GCP", `{"severity":"CRITICAL","timestamp":{"seconds":1795464901,"nanos":0},"message":"x"}`, stated + `"level":"ERROR","msg":"x"` + tail + `,"severity":"CRITICAL","timestamp":{"seconds":1795464901,"nanos":0}}`},
		{"GCP in two", `{"timestampNanos":250,"timestampSeconds":"1795464901","message":"x"}`, `{"time":"2026-11-23T20:15:01.000000250Z","level":"INFO","msg":"x"` + tail + `,"timestampNanos":250}`},
		{"GCP number", `{"severity":400,"message":"x"}`, received + `"level":"WARN","msg":"x"` + tail + `,"severity":400}`},
		{"ECS", `{"@timestamp":"2026-11-23T20:15:01.000Z","log.level":"error","message":"x","ecs.version":"8"}`, stated + `"level":"ERROR","msg":"x"` + tail + `,"ecs.version":"8"}`},
		{"ECS nested", `{"log":{"level":"warn","logger":"a"},"message":"x"}`, received + `"level":"WARN","msg":"x"` + tail + `,"log":{"level":"warn","logger":"a"}}`},
		{"logback", `{"@timestamp":"2026-11-23T20:15:01Z","level_value":30000,"message":"x"}`, stated + `"level":"WARN","msg":"x"` + tail + `,"level_value":30000}`},
		{"OpenTelemetry", `{"Timestamp":"1795464901000000000","SeverityText":"WARN","SeverityNumber":13,"Body":"x"}`, stated + `"level":"WARN","msg":"x"` + tail + `,"SeverityNumber":13}`},
		{"GELF", `{"version":"1.1","short_message":"x","timestamp":1795464901.0,"level":3}`, stated + `"level":"ERROR","msg":"x"` + tail + `,"version":"1.1","app.level":3}`},
		{"journald", `{"PRIORITY":"4","MESSAGE":"x","__REALTIME_TIMESTAMP":"1795464901000000"}`, stated + `"level":"WARN","msg":"x"` + tail + `,"PRIORITY":"4"}`},
		{"Monolog", `{"message":"x","level":250,"level_name":"NOTICE","datetime":"2026-11-23T20:15:01+00:00"}`, stated + `"level":"INFO","msg":"x"` + tail + `,"app.level":250,"level_name":"NOTICE"}`},
		{"Python", `{"asctime":"2026-11-23 20:15:01,000","levelname":"WARNING","levelno":30,"message":"x"}`, stated + `"level":"WARN","msg":"x"` + tail + `,"levelno":30}`},
		{"zap ms", `{"level":"info","ts":1795464901000.0,"msg":"x"}`, stated + `"level":"INFO","msg":"x"` + tail + `}`},
		{"exponent", `{"ts":1.795464901e9,"msg":"x"}`, stated + `"level":"INFO","msg":"x"` + tail + `,"ts":1.795464901e9}`},
		{"exponent ms", `{"ts":1.795464901e+12,"msg":"x"}`, stated + `"level":"INFO","msg":"x"` + tail + `,"ts":1.795464901e+12}`},
		{"exponent ns", `{"ts":1.795464901E18,"msg":"x"}`, stated + `"level":"INFO","msg":"x"` + tail + `,"ts":1.795464901E18}`},
		{"exponent with a fraction", `{"ts":1.7954649015e9,"msg":"x"}`, `{"time":"2026-11-23T20:15:01.500000000Z","level":"INFO","msg":"x"` + tail + `,"ts":1.7954649015e9}`},
		{"exponent too large", `{"ts":1e300,"msg":"x"}`, received + `"level":"INFO","msg":"x"` + tail + `,"ts":1e300}`},
		{"pino", `{"level":50,"time":1795464901000,"pid":1,"msg":"x"}`, stated + `"level":"ERROR","msg":"x"` + tail + `,"app.pid":1}`},
		{"pino between", `{"level":35,"msg":"x"}`, received + `"level":"INFO","msg":"x"` + tail + `,"app.level":35}`},

		{"clash", `{"service":"own","seq":1,"run":null,"source":{},"app":2}`, received + `"level":"INFO","msg":""` + tail + `,"app.service":"own","app.seq":1,"app.run":null,"app.source":{},"app":2}`},
		{"clash of clashes", `{"service":1,"app.service":2,"app.x":3}`, received + `"level":"INFO","msg":""` + tail + `,"app.app.service":1,"app.service":2,"app.x":3}`},
		{"too many clashes", `{"app.app.app.app.seq":1}`, received + `"level":"INFO","msg":"{\"app.app.app.app.seq\":1}"` + tail + `}`},
		{"clash in disguise", `{"s\u0065rvice":1}`, received + `"level":"INFO","msg":""` + tail + `,"app.s\u0065rvice":1}`},
		{"senseless", `{"time":12.5,"level":"loud","msg":{"a":1},"message":"x"}`, received + `"level":"INFO","msg":"x"` + tail + `,"app.time":12.5,"app.level":"loud","app.msg":{"a":1}}`},
		{"twice", `{"msg":"a","msg":"b","a":1,"a":2}`, received + `"level":"INFO","msg":"a"` + tail + `,"app.msg":"b","a":1,"a":2}`},
		{"two levels", `{"severity":"ERROR","level":"info"}`, received + `"level":"INFO","msg":""` + tail + `,"severity":"ERROR"}`},
		{"two levels in words", `{"level":"info","levelname":"ERROR"}`, received + `"level":"INFO","msg":""` + tail + `,"levelname":"ERROR"}`},
		{"a level beside its name", `{"level":20,"levelname":"ERROR"}`, received + `"level":"ERROR","msg":""` + tail + `,"app.level":20}`},
		{"ten decimals", `{"time":"2026-11-23T20:15:01.0000000001Z"}`, stated + `"level":"INFO","msg":""` + tail + `,"app.time":"2026-11-23T20:15:01.0000000001Z"}`},
		{"a date in digits", `{"time":"20261123201501"}`, received + `"level":"INFO","msg":""` + tail + `,"app.time":"20261123201501"}`},
		{"nanoseconds it took", `{"time":12500000000}`, received + `"level":"INFO","msg":""` + tail + `,"app.time":12500000000}`},
		{"two messages", `{"message":"a","msg":"b"}`, received + `"level":"INFO","msg":"b"` + tail + `,"message":"a"}`},
		{"numbers", `{"a":18446744073709551616,"b":1e400,"c":-0.10,"d":1E+2}`, received + `"level":"INFO","msg":""` + tail + `,"a":18446744073709551616,"b":1e400,"c":-0.10,"d":1E+2}`},
		{"verbatim", `{"a":{ "b" : [1, "\u00e9\/"] }}`, received + `"level":"INFO","msg":""` + tail + `,"a":{ "b" : [1, "\u00e9\/"] }}`},
		{"not UTF-8 inside", "{\"a\":\"\xff\"}", received + `"level":"INFO","msg":""` + tail + `,"a":"` + "\ufffd" + `"}`},
		{"colour inside", `{"level":"\u001b[31merror\u001b[39m","msg":"\u001B[1mx\u001b[0m\n"}`, received + `"level":"ERROR","msg":"x\n"` + tail + `}`},

		{"array", `[1]`, received + `"level":"INFO","msg":"[1]"` + tail + `}`},
		{"two objects", `{} {}`, received + `"level":"INFO","msg":"{} {}"` + tail + `}`},
		{"trailing comma", `{"a":1,}`, received + `"level":"INFO","msg":"{\"a\":1,}"` + tail + `}`},
		{"leading zero", `{"a":01}`, received + `"level":"INFO","msg":"{\"a\":01}"` + tail + `}`},
		{"bare key", `{a:1}`, received + `"level":"INFO","msg":"{a:1}"` + tail + `}`},
		{"control in string", "{\"a\":\"\x01\"}", received + `"level":"INFO","msg":"{\"a\":\"\u0001\"}"` + tail + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := Meta{Received: time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC), Seq: 5}
			got, _ := messages().Append(nil, []byte(tt.line), m)
			if string(got) != tt.want {
				t.Errorf("%q becomes\n%s, want\n%s", tt.line, got, tt.want)
			}
			checkMessage(t, []byte(tt.line), got)
		})
	}
}

func TestJSONContext(t *testing.T) {
	t.Parallel()
	f := NewJSON(Context{Service: "a\"b\xff", Run: "2026-11-23_20-15-01", PID: 7, Zone: time.FixedZone("", -3600)})
	m := Meta{Received: time.Date(2026, 11, 23, 21, 0, 0, 5, time.UTC), Seq: 1 << 63, Stderr: true}
	got, level := f.Append([]byte("before"), []byte("x"), m)
	want := `before{"time":"2026-11-23T20:00:00.000000005-01:00","level":"INFO","msg":"x","service":"a\"b` + "\ufffd" + `","source":"stderr","run":"2026-11-23_20-15-01","pid":7,"seq":9223372036854775808}`
	if string(got) != want || level != loglevel.None {
		t.Errorf("level %v and\n%s, want\n%s", level, got, want)
	}
}

// TestJSONPieces checks that the time and level in the first piece of a line apply to all its
// pieces, and to no other line.
func TestJSONPieces(t *testing.T) {
	t.Parallel()
	f := messages()
	m := Meta{Received: time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)}
	for _, tt := range []struct {
		line            string
		stderr, partial bool
		want            string // of time, level and msg
	}{
		{"2026-11-23T20:15:01Z ERROR a", false, true, `{"time":"2026-11-23T20:15:01.000000000Z","level":"ERROR","msg":"2026-11-23T20:15:01Z ERROR a",`},
		{"other", true, false, `{"time":"2026-11-23T21:00:00.000000000Z","level":"INFO","msg":"other",`},
		{"<4>WARN", false, true, `{"time":"2026-11-23T20:15:01.000000000Z","level":"ERROR","msg":"<4>WARN",`},
		{"{}", false, false, `{"time":"2026-11-23T20:15:01.000000000Z","level":"ERROR","msg":"{}",`},
		{`{"level":"error",`, false, true, `{"time":"2026-11-23T21:00:00.000000000Z","level":"ERROR","msg":"{\"level\":\"error\",",`},
		{`"msg":1}`, false, false, `{"time":"2026-11-23T21:00:00.000000000Z","level":"ERROR","msg":"\"msg\":1}",`},
		{"whole", false, false, `{"time":"2026-11-23T21:00:00.000000000Z","level":"INFO","msg":"whole",`},
	} {
		m.Stderr, m.Partial = tt.stderr, tt.partial
		if got, _ := f.Append(nil, []byte(tt.line), m); !bytes.HasPrefix(got, []byte(tt.want)) {
			t.Errorf("%q becomes %s, want %s", tt.line, got, tt.want)
		}
	}
}

// TestJSONBombs formats hostile lines, far larger than logs.max_line. If one cost the square
// of its length, the test would time out.
func TestJSONBombs(t *testing.T) {
	t.Parallel()
	const n = 50_000
	for name, line := range map[string]string{
		"arrays":        `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`,
		"objects":       strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n),
		"open":          strings.Repeat(`{"a":`, n),
		"clashes":       `{"app.seq":1` + strings.Repeat(`,"seq":0`, n) + `}`,
		"prefixes":      `{"` + strings.Repeat("app.", n) + `seq":1,"seq":2}`,
		"levels":        `{"a":1` + strings.Repeat(`,"level":"loud"`, n) + `}`,
		"times":         `{"a":1` + strings.Repeat(`,"time":{"seconds":1}`, n) + `}`,
		"long number":   `{"time":` + strings.Repeat("9", n) + `}`,
		"long level":    `{"level":"` + strings.Repeat(`\u0041`, n) + `"}`,
		"escapes":       strings.Repeat("\x1b", n),
		"open strings":  strings.Repeat("\x1b]", n),
		"open sequence": strings.Repeat("\x1b[1", n),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := messages()
			got, _ := f.Append(nil, []byte(line), Meta{})
			checkMessage(t, []byte(line), got)
			LevelOf([]byte(line))
			if cap(f.members) > maxScratch || cap(f.text) > maxScratch {
				t.Errorf("%d members and %d bytes are kept", cap(f.members), cap(f.text))
			}
		})
	}
	deep := func(n int) []byte { return []byte(`{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}`) }
	for depth, object := range map[int]bool{jsontext.MaxDepth: true, jsontext.MaxDepth + 1: false} {
		got, _ := messages().Append(nil, deep(depth), Meta{})
		if bytes.Contains(got, []byte(`,"a":[`)) != object {
			t.Errorf("depth %d: %s", depth, got)
		}
	}
}
