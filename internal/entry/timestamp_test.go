package entry

import (
	"testing"
	"time"
)

func TestLineTime(t *testing.T) {
	t.Parallel()
	berlin := time.FixedZone("", 3600)
	received := time.Date(2026, 11, 23, 21, 0, 0, 0, time.UTC)
	at := time.Date(2026, 11, 23, 20, 15, 1, 0, time.UTC)
	local := at.Add(-time.Hour) // the same clock in the zone of the test
	for _, tt := range []struct {
		line string
		want time.Time // zero: none
	}{
		{"", time.Time{}},
		{"frame 18467 of sensor 0", time.Time{}},
		{"20:15:01 no date", time.Time{}},
		{"0:00:00.121371801 19909 0x55cf1a5de800 WARN x", time.Time{}},
		{"[   12.345678] kernel", time.Time{}},
		{"1795464901 frames", time.Time{}}, // a number

		{"2026-11-23T20:15:01Z x", at},
		{"2026-11-23t20:15:01z", at},
		{"2026-11-23 20:15:01 UTC [7] LOG:  x", at},
		{"2026-11-23 20:15:01+00:00 x", at},
		{"2026-11-23T21:15:01+0100 x", at},
		{"2026-11-23 21:15:01 +0100 x", at},
		{"2026-11-23 21:15:01+01 x", at},
		{"2026-11-23T10:15:01-10:00 x", at},
		{"2026-11-23T20:15:01.123456789Z x", at.Add(123456789)},
		{"2026-11-23T20:15:01.1234567891Z x", at.Add(123456789)},
		{"2026-11-23T20:15:01.5Z x", at.Add(500 * time.Millisecond)},
		{"2026-11-23 20:15:01,123 INFO x", local.Add(123 * time.Millisecond)},
		{"2026/11/23 20:15:01 x", local},
		{"[2026-11-23 20:15:01.250] [info] x", local.Add(250 * time.Millisecond)},
		{"2026-11-23T20:15:01", local},
		{"2026-11-23T20:15:60Z", at.Add(59 * time.Second)},
		{"2026-02-29 20:15:01 x", time.Time{}},
		{"2026-13-23 20:15:01 x", time.Time{}},
		{"2026-11-23 24:15:01 x", time.Time{}},
		{"2026-11-23 20:15:01x", time.Time{}},
		{"2026-11/23 20:15:01", time.Time{}},

		{"I20261123 20:15:01.500000    7 a.cc:1] x", local.Add(500 * time.Millisecond)}, // glog 0.5
		{"I20251123 20:15:01    7 a.cc:1] x", local.AddDate(-1, 0, 0)},
		{"I20261123 20:15", time.Time{}},
		{"I20261323 20:15:01", time.Time{}},

		{"Nov 23 20:15:01 host app[7]: x", local},
		{"Nov 23 20:15:01.5 host x", local.Add(500 * time.Millisecond)},
		{"Nov  3 20:15:01 host x", local.AddDate(0, 0, -20)},
		{"Nov 3 20:15:01 host x", local.AddDate(0, 0, -20)},
		{"<11>Nov 23 20:15:01 host app[7]: x", local},
		{"<165>1 2026-11-23T20:15:01Z host app - x", at},
		{"<3>2026-11-23T20:15:01Z x", at},
		{"Mon Nov 23 20:15:01 2026 x", local},
		{"Mon Nov 23 20:15:01 UTC 2026", at},
		{"Mon Nov 23 08:15:01 PM UTC 2026", at}, // date's
		{"Mon Nov 23 08:15:01 PM CET 2025 x", local.AddDate(-1, 0, 0)},
		{"Mon Nov 23 20:15:01 2025", local.AddDate(-1, 0, 0)},
		{"Nov 23 20:15:01 HOST 2025 frames", local}, // no year
		{"2026-11-23 08:15:01 PM x", local},
		{"2026-11-23 08:15:01PM x", local},
		{"2026-11-23 08:15:01.5 PM +0000", at.Add(500 * time.Millisecond)},
		{"2026-11-23 12:15:01 AM x", local.Add(-20 * time.Hour)},
		{"2026-11-23 12:15:01 PM x", local.Add(-8 * time.Hour)},
		{"2026-11-23 20:15:01 PM x", local},
		{"2026-11-23 20:15:01 AMPS", local},
		{"[Mon Nov 23 20:15:01.500000 2026] [core:error] x", local.Add(500 * time.Millisecond)},
		{"Mon, 23 Nov 2026 20:15:01 GMT", at},
		{"Nov 23 2026 20:15:01: x", local},
		{"Jan  2 03:04:05 host x", time.Date(2027, 1, 2, 2, 4, 5, 0, time.UTC)}, // nearer than last January
		{"Feb 29 20:15:01 host x", time.Time{}},
		{"7:M 23 Nov 2026 20:15:01.123 * Ready", local.Add(123 * time.Millisecond)}, // Redis
		{"23-Nov-2026 20:15:01.123 INFO [main] x", local.Add(123 * time.Millisecond)},
		{"11-23 20:15:01.123  7  7 E Tag: x", local.Add(123 * time.Millisecond)}, // Android
		{`10.0.0.1 - - [23/Nov/2026:20:15:01 +0000] "GET / HTTP/1.1" 200 5`, at},

		{"E1123 20:15:01.000250    7 a.go:1] x", local.Add(250 * time.Microsecond)},
		{"I1131 20:15:01.000250    7 a.go:1] x", time.Time{}},

		{"ERROR: 2026/11/23 20:15:01 main.go:3: x", local},
		{"[INFO] [1795464901.123456789] [camera]: up", at.Add(123456789)},
		{"[ WARN] [1795464901.123456789]: slow", at.Add(123456789)},
		{"[INFO] [7.5] x", time.Time{}},
		{"INFO[2026-11-23T20:15:01Z] x", at},
		{"INFO[0012] x", time.Time{}},
		{"took 2026-11-23T20:15:01Z", time.Time{}}, // prose before it
		{"[I 2026-11-23 20:15:01.000 App] x", local},

		{`time="2026-11-23T20:15:01Z" level=info`, at},
		{"time=2026-11-23T20:15:01.000Z level=INFO msg=x", at},
		{"level=info ts=1795464901.25 msg=x", at.Add(250 * time.Millisecond)},
		{"t=2026-11-23T20:15:01+0000 lvl=info", at},
		{"time=12.5 ms=3", time.Time{}},
		{"uptime=2026-11-23T20:15:01Z", time.Time{}},
		{"hello world ts=1795464901", time.Time{}}, // prose before it
		{"a line port=80 ts=1795464901", time.Time{}},
	} {
		got, ok := clock{received, berlin}.inLine([]byte(tt.line))
		if ok != !tt.want.IsZero() || ok && !got.Equal(tt.want) {
			t.Errorf("%q: %v, %v, want %v", tt.line, got.UTC(), ok, tt.want)
		}
	}
}

func TestYear(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ received, line, want string }{
		{"2027-01-01T00:00:02Z", "Dec 31 23:59:59 host x", "2026-12-31T23:59:59Z"},
		{"2026-12-31T23:59:59Z", "Jan  1 00:00:01 host x", "2027-01-01T00:00:01Z"},
		{"2024-03-01T00:00:00Z", "Feb 29 10:00:00 host x", "2024-02-29T10:00:00Z"},
	} {
		received, err := time.Parse(time.RFC3339, tt.received)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := clock{received, time.UTC}.inLine([]byte(tt.line))
		if got.Format(time.RFC3339) != tt.want {
			t.Errorf("%q received at %s: %v, want %s", tt.line, tt.received, got, tt.want)
		}
	}
}

func TestEpoch(t *testing.T) {
	t.Parallel()
	at := time.Unix(1795464901, 123456789)
	for _, tt := range []struct {
		text  string
		want  time.Time
		exact bool
	}{
		{"1795464901", at.Truncate(time.Second), true},
		{"1795464901.123456789", at, true},
		{"1795464901.12345678900", at, true},
		{"1795464901.1234567891", at, false},
		{"1795464901123", at.Truncate(time.Millisecond), true},
		{"1795464901123.456789", at, true},
		{"1795464901123.4567891", at, false},
		{"1795464901123456", at.Truncate(time.Microsecond), true},
		{"1795464901123456.789", at, true},
		{"1795464901123456789", at, true},
		{"1795464901123456789.5", at, false},
		{"100000000", time.Unix(100000000, 0), true},
		{"9999999999", time.Unix(9999999999, 0), true},
		{"9999999999999", time.Unix(9999999999, 999e6), true},
		{"9999999999999999", time.Unix(9999999999, 999999e3), true},
		{"10000000000", time.Time{}, false},       // ten seconds in nanoseconds
		{"20261123201501", time.Time{}, false},    // a date
		{"20261123201501123", time.Time{}, false}, // a date
		{"99999999", time.Time{}, false},
		{"12.5", time.Time{}, false},
		{"-1795464901", time.Time{}, false},
		{"1795464901.", time.Time{}, false},
		{"1795464901x", time.Time{}, false},
		{"99999999999999999999", time.Time{}, false},
		{"", time.Time{}, false},
	} {
		got, exact, ok := epoch([]byte(tt.text))
		if ok != !tt.want.IsZero() || ok && (!got.Equal(tt.want) || exact != tt.exact) {
			t.Errorf("%q: %v, %v, %v, want %v, %v", tt.text, got.UTC(), exact, ok, tt.want.UTC(), tt.exact)
		}
	}
}
