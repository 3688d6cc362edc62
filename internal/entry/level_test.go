package entry

import (
	"strings"
	"testing"
)

func TestLevelOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want Level
	}{
		{"", NoLevel},
		{"all is well", NoLevel},
		{"error handling works", NoLevel}, // a word, not a level
		{"ERRORS found", NoLevel},
		{"LOG_LEVEL_ERROR is 3", NoLevel},
		{"there was an ERROR somewhere", NoLevel}, // prose
		{"TypeError: x is not a function", NoLevel},
		{"http://host/error: x", NoLevel},
		{"http: GET /x", Debug}, // winston
		{"2026/11/23 20:15:01 http: TLS handshake error from 10.0.0.7:1234: EOF", NoLevel}, // Go's
		{"camera: http: Server closed", NoLevel},
		{"http: error: x", Severe},
		{"[http] error: x", Severe},
		{"sensor[error]=0", NoLevel},
		{"sensor [error] is 0", Severe},
		{"2026-11-23T20:15:01.123Z error: no disk", Severe}, // winston
		{"2026-11-23 20:15:01  Warning: slow", Warning},
		{"5 error: no disk", NoLevel},
		{"HTTP 404 GET /x", NoLevel},
		{"<html> INFO", Information},
		{strings.Repeat("x", 76) + " ERROR", NoLevel}, // beyond reach
		{strings.Repeat("x", 74) + " ERROR", Severe},
		{"ERROR", Severe},
		{"ERROR: no disk", Severe},
		{"error: no disk", Severe},
		{"Warning: slow", Warning},
		{"gcc: error: no input files", Severe},
		{"wrapp: warning: redis is away", Warning},
		{"main.c:10:5: warning: unused variable", Warning},
		{"main.c:10:5: note: declared here", Information},
		{"2026-11-23 20:15:01,123 [WARNING] slow", Warning},
		{"2026/11/23 20:15:01 INFO started", Information},
		{"2026/11/23 20:15:01 [error] 7#7: *1 open() failed", Severe}, // nginx
		{"[Mon Nov 23 20:15:01.123456 2026] [core:error] [pid 7] x", Severe},
		{"2026-11-23 20:15:01.123 UTC [7] ERROR:  no such table", Severe},
		{"2026-11-23 20:15:01.123 UTC [7] LOG:  ready", Information},
		{"2026-11-23T20:15:01.123Z 0 [Warning] [MY-010068] [Server] x", Warning},
		{`time=2026-11-23T20:15:01Z level=error msg="x"`, Severe},
		{`ts=2026-11-23T20:15:01Z msg="ERROR none" lvl=dbug`, Debug},
		{`level="debug"`, Debug},
		{"mylevel=error", NoLevel},
		{"2026-11-23 20:15:01 INFO logging with level=error", Information}, // spoken about
		{"8:15PM INF configured level=error", Information},                 // zerolog
		{"2026-11-23T20:15:01Z [info     ] event   level=error", Information},
		{"[INFO] [1700000000.123456789] [camera]: ERROR: level=error", Information},
		{"Nov 23 20:15:01 host app[7]: level=error msg=x", Severe},
		{`msg="now level=error" level=info`, Information},
		{`msg="a \" level=error" level=info`, Information},
		{`msg="no end level=error`, NoLevel},
		{`severity="loud" level=warn`, Warning},
		{"[E] INFO", Information},
		{"[2026-11-23T20:15:01Z WARN  app] slow", Warning},         // Rust's env_logger
		{"2026-11-23 20:15:01.123 | ERROR    | a:b:7 - x", Severe}, // loguru
		{"[2026-11-23 20:15:01.123] [warning] slow", Warning},      // spdlog
		{"[2026-11-23 20:15:01.123] [sensor] [critical] gone", Severe},
		{"[20:15:01 ERR] no disk", Severe}, // Serilog
		{"fail: App.Program[0]", NoLevel},
		{"I1123 20:15:01.123456    7 a.go:1] x", Information},
		{"F1123 20:15:01.123456    7 a.go:1] x", Severe},
		{"E20261123 20:15:01.123456    7 a.cc:1] x", Severe}, // glog 0.5
		{"W20261123 20:15:01.123456    7 a.cc:1] x", Warning},
		{"E20261123 frames", NoLevel},
		{"E2026112 20:15:01.123456    7 a.cc:1] x", NoLevel},
		{"E202611", NoLevel},
		{"E1123 frames", NoLevel},
		{"E11234 20:15", NoLevel},
		{"<3>no disk", Severe},
		{"<4>slow", Warning},
		{"<5>so", Information},
		{"<7>detail", Debug},
		{"<8>x", NoLevel}, // a facility without a header
		{"<11>Nov 23 20:15:01 host app[7]: no disk", Severe},
		{"<165>1 2026-11-23T20:15:01.003Z host app 7 ID47 - x", Information},
		{"<192>1 x", NoLevel},
		{"<>", NoLevel},
		{"<3", NoLevel},
		{"Nov 23 20:15:01 host app[7]: error: no disk", Severe},
		{"[INFO] [1700000000.123456789] [camera]: up", Information}, // ROS 2
		{"[ WARN] [1700000000.123456789]: slow", Warning},           // ROS
		{"\x1b[33m[WARN] [1700000000.123456789] [camera]: slow\x1b[0m", Warning},
		{"0:00:00.121371801 \x1b[32m19909\x1b[00m 0x55cf1a5de800 \x1b[33;01mWARN   \x1b[00m \x1b[00m           structure gststructure.c:2093:f:\x1b[00m No", Warning},
		{"0:00:00.022317721 19934 0x561c65428c00 FIXME                default gstutils.c:4031:f:<fakesrc0:src> Creating", Warning},
		{"0:00:00.000097926 19934 0x561c653e2200 DEBUG           GST_REGISTRY gstregistry.c:1609:f: attempting", Debug},
		{"0:00:00.001003934 19934 0x561c653e2200 LOG       GST_PLUGIN_LOADING gstplugin.c:229:f: attempting", Debug},
		{"0:00:00.000407176 19934 0x561c653e2200 TRACE        GST_REFCOUNTING gstobject.c:208:f:<GstObject@0x56> new", Debug},
		{"12:00:00.001003934 19934 0x561c653e2200 LOG       GST_PLUGIN_LOADING gstplugin.c:229:f: attempting", Debug}, // hours later
		{"100:00:00.022317721 19934 0x561c65428c00 FIXME                default gstutils.c:4031:f:<fakesrc0:src> Creating", Warning},
		{"20:15:01.123 LOG rotated", NoLevel},
		{`{"level":"error","msg":"x"}`, Severe},
		{"\t" + `{"level":"error","msg":"x"}`, Severe},
		{`{"lvl":"info","level":"error"}`, Severe}, // as in JSON
		{`{"severity":"ERROR","level":"info"}`, Information},
		{`{"level":"info","levelname":"ERROR"}`, Information},
		{`{"level":250,"level_name":"ERROR"}`, Severe},
		{`{"level":50,"msg":"cut`, Severe},
		{`{"msg":"ERROR","severity":"NOTICE"}`, Information},
		{`{"version":"1.1","short_message":"x","level":3}`, Severe}, // GELF
		{`{"version":"1.1","level":3,"short_message":"x"}`, Severe},
		{`{"version":"1.1","level":"4","host":"a","short_message":"x"}`, Warning},
		{`{"version":"1.1","level":3,"message":"x"}`, NoLevel},
		{`{"leve\u006c":"error"}`, Severe},
		{`{"a":1}`, NoLevel},
		{`{"a":1`, NoLevel},
		{`{sensor} ERROR: warm`, Severe}, // no object
	} {
		if got := LevelOf([]byte(tt.line)); got != tt.want {
			t.Errorf("%q: level %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Level{"debug": Debug, "INFO": Information, "warn": Warning, "Warning": Warning, "error": Severe, "fatal": Severe} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3", "loud", strings.Repeat("x", 100)} {
		if got, err := ParseLevel(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
