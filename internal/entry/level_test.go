package entry

import (
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/loglevel"
)

func TestLevelOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		line string
		want loglevel.Level
	}{
		{"", loglevel.None},
		{"all is well", loglevel.None},
		{"error handling works", loglevel.None}, // a word, not a level
		{"ERRORS found", loglevel.None},
		{"LOG_LEVEL_ERROR is 3", loglevel.None},
		{"there was an ERROR somewhere", loglevel.None}, // prose
		{"TypeError: x is not a function", loglevel.None},
		{"http://host/error: x", loglevel.None},
		{"http: GET /x", loglevel.Debug}, // winston
		{"2026/11/23 20:15:01 http: TLS handshake error from 10.0.0.7:1234: EOF", loglevel.None}, // Go's
		{"camera: http: Server closed", loglevel.None},
		{"http: error: x", loglevel.Error},
		{"[http] error: x", loglevel.Error},
		{"sensor[error]=0", loglevel.None},
		{"sensor [error] is 0", loglevel.Error},
		{"2026-11-23T20:15:01.123Z error: no disk", loglevel.Error}, // winston
		{"2026-11-23 20:15:01  Warning: slow", loglevel.Warn},
		{"5 error: no disk", loglevel.None},
		{"HTTP 404 GET /x", loglevel.None},
		{"<html> INFO", loglevel.Info},
		{strings.Repeat("x", 76) + " ERROR", loglevel.None}, // beyond reach
		{strings.Repeat("x", 74) + " ERROR", loglevel.Error},
		{"ERROR", loglevel.Error},
		{"ERROR: no disk", loglevel.Error},
		{"error: no disk", loglevel.Error},
		{"Warning: slow", loglevel.Warn},
		{"gcc: error: no input files", loglevel.Error},
		{"wrapp: warning: redis is away", loglevel.Warn},
		{"main.c:10:5: warning: unused variable", loglevel.Warn},
		{"main.c:10:5: note: declared here", loglevel.Info},
		{"2026-11-23 20:15:01,123 [WARNING] slow", loglevel.Warn},
		{"2026/11/23 20:15:01 INFO started", loglevel.Info},
		{"2026/11/23 20:15:01 [error] 7#7: *1 open() failed", loglevel.Error}, // nginx
		{"[Mon Nov 23 20:15:01.123456 2026] [core:error] [pid 7] x", loglevel.Error},
		{"2026-11-23 20:15:01.123 UTC [7] ERROR:  no such table", loglevel.Error},
		{"2026-11-23 20:15:01.123 UTC [7] LOG:  ready", loglevel.Info},
		{"2026-11-23T20:15:01.123Z 0 [Warning] [MY-010068] [Server] x", loglevel.Warn},
		{`time=2026-11-23T20:15:01Z level=error msg="x"`, loglevel.Error},
		{`ts=2026-11-23T20:15:01Z msg="ERROR none" lvl=dbug`, loglevel.Debug},
		{`level="debug"`, loglevel.Debug},
		{"mylevel=error", loglevel.None},
		{"2026-11-23 20:15:01 INFO logging with level=error", loglevel.Info}, // the text is about a level
		{"8:15PM INF configured level=error", loglevel.Info},                 // zerolog
		{"2026-11-23T20:15:01Z [info     ] event   level=error", loglevel.Info},
		{"[INFO] [1700000000.123456789] [camera]: ERROR: level=error", loglevel.Info},
		{"Nov 23 20:15:01 host app[7]: level=error msg=x", loglevel.Error},
		{`msg="now level=error" level=info`, loglevel.Info},
		{`msg="a \" level=error" level=info`, loglevel.Info},
		{`msg="no end level=error`, loglevel.None},
		{`severity="loud" level=warn`, loglevel.Warn},
		{"[E] INFO", loglevel.Info},
		{"[2026-11-23T20:15:01Z WARN  app] slow", loglevel.Warn},           // Rust's env_logger
		{"2026-11-23 20:15:01.123 | ERROR    | a:b:7 - x", loglevel.Error}, // loguru
		{"[2026-11-23 20:15:01.123] [warning] slow", loglevel.Warn},        // spdlog
		{"[2026-11-23 20:15:01.123] [sensor] [critical] gone", loglevel.Error},
		{"[20:15:01 ERR] no disk", loglevel.Error}, // Serilog
		{"fail: App.Program[0]", loglevel.None},
		{"I1123 20:15:01.123456    7 a.go:1] x", loglevel.Info},
		{"F1123 20:15:01.123456    7 a.go:1] x", loglevel.Error},
		{"E20261123 20:15:01.123456    7 a.cc:1] x", loglevel.Error}, // glog 0.5
		{"W20261123 20:15:01.123456    7 a.cc:1] x", loglevel.Warn},
		{"E20261123 frames", loglevel.None},
		{"E2026112 20:15:01.123456    7 a.cc:1] x", loglevel.None},
		{"E202611", loglevel.None},
		{"E1123 frames", loglevel.None},
		{"E11234 20:15", loglevel.None},
		{"<3>no disk", loglevel.Error},
		{"<4>slow", loglevel.Warn},
		{"<5>so", loglevel.Info},
		{"<7>detail", loglevel.Debug},
		{"<8>x", loglevel.None}, // a facility without a header
		{"<11>Nov 23 20:15:01 host app[7]: no disk", loglevel.Error},
		{"<165>1 2026-11-23T20:15:01.003Z host app 7 ID47 - x", loglevel.Info},
		{"<192>1 x", loglevel.None},
		{"<>", loglevel.None},
		{"<3", loglevel.None},
		{"Nov 23 20:15:01 host app[7]: error: no disk", loglevel.Error},
		{"[INFO] [1700000000.123456789] [camera]: up", loglevel.Info}, // ROS 2
		{"[ WARN] [1700000000.123456789]: slow", loglevel.Warn},       // ROS
		{"\x1b[33m[WARN] [1700000000.123456789] [camera]: slow\x1b[0m", loglevel.Warn},
		{"0:00:00.121371801 \x1b[32m19909\x1b[00m 0x55cf1a5de800 \x1b[33;01mWARN   \x1b[00m \x1b[00m           structure gststructure.c:2093:f:\x1b[00m No", loglevel.Warn},
		{"0:00:00.022317721 19934 0x561c65428c00 FIXME                default gstutils.c:4031:f:<fakesrc0:src> Creating", loglevel.Warn},
		{"0:00:00.000097926 19934 0x561c653e2200 DEBUG           GST_REGISTRY gstregistry.c:1609:f: attempting", loglevel.Debug},
		{"0:00:00.001003934 19934 0x561c653e2200 LOG       GST_PLUGIN_LOADING gstplugin.c:229:f: attempting", loglevel.Debug},
		{"0:00:00.000407176 19934 0x561c653e2200 TRACE        GST_REFCOUNTING gstobject.c:208:f:<GstObject@0x56> new", loglevel.Debug},
		{"12:00:00.001003934 19934 0x561c653e2200 LOG       GST_PLUGIN_LOADING gstplugin.c:229:f: attempting", loglevel.Debug}, // hours later
		{"100:00:00.022317721 19934 0x561c65428c00 FIXME                default gstutils.c:4031:f:<fakesrc0:src> Creating", loglevel.Warn},
		{"20:15:01.123 LOG rotated", loglevel.None},
		{`{"level":"error","msg":"x"}`, loglevel.Error},
		{"\t" + `{"level":"error","msg":"x"}`, loglevel.Error},
		{`{"lvl":"info","level":"error"}`, loglevel.Error}, // as in JSON
		{`{"severity":"ERROR","level":"info"}`, loglevel.Info},
		{`{"level":"info","levelname":"ERROR"}`, loglevel.Info},
		{`{"level":250,"level_name":"ERROR"}`, loglevel.Error},
		{`{"level":50,"msg":"cut`, loglevel.Error},
		{`{"msg":"ERROR","severity":"NOTICE"}`, loglevel.Info},
		{`{"version":"1.1","short_message":"x","level":3}`, loglevel.Error}, // GELF
		{`{"version":"1.1","level":3,"short_message":"x"}`, loglevel.Error},
		{`{"version":"1.1","level":"4","host":"a","short_message":"x"}`, loglevel.Warn},
		{`{"version":"1.1","level":3,"message":"x"}`, loglevel.None},
		{`{"leve\u006c":"error"}`, loglevel.Error},
		{`{"a":1}`, loglevel.None},
		{`{"a":1`, loglevel.None},
		{`{sensor} ERROR: warm`, loglevel.Error}, // no object
	} {
		if got := LevelOf([]byte(tt.line)); got != tt.want {
			t.Errorf("%q: level %q, want %q", tt.line, got, tt.want)
		}
	}
}

func TestParseLevel(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]loglevel.Level{"debug": loglevel.Debug, "INFO": loglevel.Info, "warn": loglevel.Warn, "Warning": loglevel.Warn, "error": loglevel.Error, "fatal": loglevel.Error} {
		if got, err := loglevel.Parse(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3", "loud", strings.Repeat("x", 100)} {
		if got, err := loglevel.Parse(text); err == nil {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}
